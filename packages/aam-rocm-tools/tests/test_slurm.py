"""Job scripts: resources, rejected options and, with stand-ins for the programs of Slurm and AAM, each exit status.

A real Slurm runs them in the project's slurm session.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from aam_rocm_tools.main import main
from aam_rocm_tools.slurm.command import field_help
from aam_rocm_tools.slurm.config import ABOUT, KINDS, SlurmOptions
from aam_rocm_tools.slurm.render import render

AAM = ("--table", "t.biom", "--tree", "a b.nwk", "--output-dir", "run")
SEVERAL = {"pretrain-node", "train-multi"}
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


def asked(script: str) -> dict[str, str | None]:
    """Return the #SBATCH lines."""
    found = re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", script, re.M)
    return {name: value or None for name, value in found}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gpu", ["any", "rocm", "cuda", "none"])
@pytest.mark.parametrize(
    "way", [{}, {"activate": "venv/bin/activate"}, {"container": "my image.sif", "bind": ("/data",)}]
)
def test_every_combination_is_a_script_of_bash(kind: str, gpu: str, way: dict[str, object], tmp_path: Path) -> None:
    if "container" in way and gpu == "any":
        with pytest.raises(ValueError, match="--container needs the kind of device: --gpu rocm, cuda or none"):
            SlurmOptions(**way)
        return
    script = render(kind, SlurmOptions(gpu=gpu, stage=("t.biom",) if kind == "stage-data" else (), **way), AAM)
    assert "@@" not in script
    assert script.startswith("#!/bin/bash\n#SBATCH ")
    if shutil.which("bash"):
        checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")
    sbatch = asked(script)
    assert sbatch["signal"] == "USR1@300"
    assert {"requeue", "open-mode"} <= sbatch.keys()
    assert sbatch["nodes"] == ("2" if kind == "train-multi" else "1")
    assert sbatch["ntasks-per-node"] == ("4" if kind in SEVERAL else "1")
    assert sbatch.get("gpus-per-node") == (None if gpu == "none" else sbatch["ntasks-per-node"])
    assert "cpus-per-task" not in sbatch  # the cluster's
    assert ("array" in sbatch) == (kind == "array")
    assert ("  --distributed\n" in script) == (kind in SEVERAL)
    assert ("MASTER_PORT=$((20000 + SLURM_JOB_ID % 10000))" in script) == (kind in SEVERAL)
    assert "  --resume-from auto\n" in script
    assert "  --tree 'a b.nwk'\n" in script
    assert ("MIOPEN_USER_DB_PATH" in script, "CUDA_CACHE_PATH" in script) == (
        gpu in ("any", "rocm"),
        gpu in ("any", "cuda"),
    )
    assert ("  --device cpu\n" in script) == (gpu == "none")
    if "container" in way:
        flag = {"rocm": " --rocm", "cuda": " --nv", "none": ""}[gpu]
        assert f"  apptainer exec{flag} --bind \"$local_disk\" --bind /data 'my image.sif'\n  aam " in script


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_an_example(kind: str) -> None:
    ran = CliRunner().invoke(main, ["slurm", kind, "--module", "rocm/6.3.0", "--account", "abc123", "--exclusive"])
    assert ran.exit_code == 0, ran.output
    assert "\nmodule load rocm/6.3.0 || { echo 'module load rocm/6.3.0 failed' >&2; exit 2; }\n" in ran.output
    assert asked(ran.output)["account"] == "abc123"
    assert "exclusive" in asked(ran.output)
    assert f"aam {'train' if kind in ('array', 'train-multi') else 'pretrain'}\n" in ran.output
    assert set(ABOUT) == set(KINDS)


def test_every_option_is_a_field_with_its_help() -> None:
    ran = CliRunner().invoke(main, ["slurm", "--help"])
    flags = set(re.findall(r"^  (--[\w-]+)", ran.output, re.M)) - {"--help"}
    assert flags == {f"--{field.name.replace('_', '-')}" for field in fields(SlurmOptions)}
    assert set(field_help(SlurmOptions)) == {field.name for field in fields(SlurmOptions)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--account", "a b"], "--account a b: must be one word"),
        (["--partition", "x\n#SBATCH --uid=0"], "--partition x"),
        (["--time", "soon"], "--time soon: must be"),
        (["--nodes", "0"], "--nodes 0: must be 1 or more"),
        (["--signal-seconds", "1"], "--signal-seconds 1: must be 30"),
        (["--module", "x; rm"], "--module x; rm: must be"),
        (["--local-disk", "$(id)"], "--local-disk $(id): must be a path"),
        (["--local-disk", "${HOME"], "--local-disk ${HOME: must be a path"),
        (["--local-disk", "$HOME}"], "--local-disk $HOME}: must be a path"),
        (["--local-disk", "scratch"], "--local-disk scratch: must be a path that starts with / or a variable"),
        (["--account", "a" * 99 + "/"], "--account " + "a" * 60 + "...: must be one word"),
        (["--job-name", "%x/y"], "--job-name %x/y: must be one word"),
        (["--job-name", "\x1b[31m"], "--job-name \\x1b[31m: contains a line break or an invisible character (U+001B)"),
        (["--results", "a\u2028b"], "--results a\\u2028b: contains a line break"),
        (["--results", ""], "--results: must not be empty"),
        (["--memory", "lots"], "--memory lots: must be a whole number and K, M, G or T"),
        (["--module", "-r"], "--module -r: must be one word"),
        (["--time", "\u0663"], "--time \u0663: must be"),
        (["--container", "-x.sif", "--gpu", "cuda"], "--container -x.sif: must be a path; write ./ before a dash"),
        (["--env", "A"], "--env A: must be NAME=VALUE"),
        (["--env", "A B=1"], "--env A B=1: must be NAME=VALUE"),
        (["--env", "1A=1"], "--env 1A=1: must be NAME=VALUE"),
        (["--env", "RANK=1"], "--env RANK=1: RANK is set by Slurm, bash or the script itself"),
        (["--env", "A=1", "--env", "A=2"], "--env A: pass each name once"),
        (["--", *AAM, "--seed\n#SBATCH --uid=0"], "options of aam: --seed\\n#SBATCH --uid=0: contains a line break"),
        (["--container", "a.sif", "--activate", "v"], "--container and --activate cannot be combined"),
        (["--bind", "/x"], "--bind only applies to --container"),
        (["--stage", "a/t", "--stage", "b/t"], "--stage t: several files have this name, but they share a folder"),
        (["--stage", "x"], "--stage only applies to stage-data"),
        (["--", "--table", "t"], "--output-dir: pass it once among the options of aam"),
        (["--", *AAM, "--resume-from", "auto"], "--resume-from: omit it"),
        (["--", *AAM, "--distributed"], "--distributed: omit it"),
        (["--", *AAM, "--data-parallel"], "--data-parallel: omit it"),
    ],
)
def test_options_that_make_no_script_are_refused(words: list[str], message: str) -> None:
    ran = CliRunner().invoke(main, ["slurm", "pretrain-single", *words])
    assert ran.exit_code == 2
    assert message in ran.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--", *AAM], "--stage: name the files"), (["--stage", "x", "--", "--output-dir", "a/b"], "--output-dir a/b")],
)
def test_staging_needs_files_and_a_plain_name(words: list[str], message: str) -> None:
    ran = CliRunner().invoke(main, ["slurm", "stage-data", *words])
    assert (ran.exit_code, message in ran.output) == (2, True)


def test_fsdp_takes_the_place_of_distributed() -> None:
    script = render("pretrain-node", SlurmOptions(), (*AAM, "--fsdp"))
    assert "--fsdp" in script
    assert "--distributed" not in script


# Stand-ins: srun runs what follows its options; aam leaves a checkpoint and ends as $GO says; the others log.
PROGRAMS = {
    "srun": """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
export SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NTASKS=1 SLURM_NTASKS_PER_NODE=1
exec "$@"
""",
    "scontrol": """#!/bin/bash
echo "$@" >> "$LOG"
if [[ $1 == show && $2 == hostnames ]]; then echo n1; fi
if [[ $1 == show && $2 == node ]]; then echo "NodeName=n1 NodeAddr=10.0.0.1 NodeHostName=n1"; fi
""",
    "aam": """#!/bin/bash
printf '%s\\n' "$*" "A=${A-}" "rank $RANK of $WORLD_SIZE at ${MASTER_ADDR-} ${MASTER_PORT-}" \\
  "$OMP_NUM_THREADS threads" >> "$LOG"
while [[ $1 != --output-dir ]]; do shift; done
ls "$2/checkpoints" >> "$LOG" 2> /dev/null
read -r step status <<< "$GO"
if [[ $step -gt 0 ]]; then mkdir -p "$2/checkpoints/step-$step-unjudged"; fi
exit "$status"
""",
    "module": """#!/bin/bash
printf 'module|%s' "$@" >> "$LOG"
""",
    "apptainer": """#!/bin/bash
printf 'apptainer|%s' "$@" >> "$LOG"
while [[ $1 != aam ]]; do shift; done
exec "$@"
""",
}


def run_script(
    kind: str, folder: Path, go: str, aam: tuple[str, ...] = AAM, cpus: str = "SLURM_CPUS_PER_TASK", **options: object
) -> tuple[int, str, str]:
    """Return the exit status of the script, its output, and the calls that the stand-ins logged."""
    programs, log = folder / "bin", folder / "log"
    programs.mkdir(exist_ok=True)
    log.write_text("", "utf-8")
    for name, text in PROGRAMS.items():
        (programs / name).write_text(text, "utf-8")
        (programs / name).chmod(0o755)
    script = render(kind, SlurmOptions(gpu="none", local_disk=str(folder / "disk"), **options), aam)
    (folder / "job.sh").write_text(script, "utf-8")
    job = {
        "SLURM_JOB_ID": "4711",
        cpus: "8",
        "SLURM_NTASKS_PER_NODE": "4",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_ARRAY_TASK_ID": "2",
    }
    job |= {"SLURM_JOB_NODELIST": "n[1-2]", "SLURM_SUBMIT_DIR": str(folder), "LOG": str(log), "GO": go}
    environment = os.environ | job | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(
        ["bash", "job.sh"], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return ran.returncode, ran.stdout + ran.stderr, log.read_text("utf-8")


@needs_bash
@pytest.mark.parametrize("kind", ["pretrain-single", "pretrain-node", "train-multi"])
def test_a_job_is_queued_again_only_when_it_went_forward(kind: str, tmp_path: Path) -> None:
    status, printed, log = run_script(kind, tmp_path, "12 85")
    assert (status, "requeue 4711" in log) == (85, True)
    assert "saved at step 12 (was 0): requeued" in printed
    status, printed, log = run_script(kind, tmp_path, "12 85")  # the same step again
    assert (status, "requeue" in log) == (85, False)
    assert "no progress beyond step 12: not requeued" in printed
    status, _, log = run_script(kind, tmp_path, "9 85")  # an older one is left beside the newest
    assert "requeue" not in log
    for code in (0, 1, 2, 143):
        status, _, log = run_script(kind, tmp_path, f"{code + 100} {code}")
        assert (status, "requeue" in log) == (code, False)
    assert list((tmp_path / "disk").iterdir()) == []


@needs_bash
def test_tasks_know_their_rank_and_where_to_meet(tmp_path: Path) -> None:
    _, _, log = run_script("train-multi", tmp_path, "1 0")
    assert "rank 0 of 1 at 10.0.0.1 24711" in log
    assert "--distributed --resume-from auto" in log
    assert "8 threads" in log
    _, _, log = run_script("train-multi", tmp_path, "1 0", cpus="SLURM_CPUS_ON_NODE")
    assert "2 threads" in log


@needs_bash
def test_folds_count_too(tmp_path: Path) -> None:
    (tmp_path / "run" / "fold-1" / "checkpoints" / "step-30").mkdir(parents=True)
    _, printed, _ = run_script("pretrain-single", tmp_path, "5 85")
    assert "saved at step 35 (was 30): requeued" in printed


@needs_bash
def test_an_array_takes_its_line(tmp_path: Path) -> None:
    (tmp_path / "settings.txt").write_text("--seed 1\n--seed 2 --lr 1e-3\n", "utf-8")
    status, _, log = run_script("array", tmp_path, "3 85")
    assert status == 85
    assert (
        "train --table t.biom --tree a b.nwk --device cpu --resume-from auto --output-dir run/2 --seed 2 --lr 1e-3"
        in log
    )
    assert (tmp_path / "run" / "2" / "checkpoints" / "step-3-unjudged").is_dir()
    (tmp_path / "settings.txt").write_text("--seed 1\n", "utf-8")
    status, printed, log = run_script("array", tmp_path, "3 0")
    assert (status, log) == (2, "")
    assert "settings.txt has no line 2" in printed


@needs_bash
def test_staged_files_go_in_and_the_run_comes_back(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "t.biom").write_text("t", "utf-8")
    options = {"stage": ("data/t.biom",), "results": "back/here"}
    status, printed, log = run_script("stage-data", tmp_path, "4 85", **options)
    assert (status, "requeue 4711" in log) == (85, True), printed
    assert (tmp_path / "back" / "here" / "run" / "checkpoints" / "step-4-unjudged").is_dir()
    assert list((tmp_path / "disk").iterdir()) == []
    status, _, log = run_script("stage-data", tmp_path, "8 0", **options)
    assert "step-4-unjudged" in log  # the second start found what the first one had brought back
    names = sorted(path.name for path in (tmp_path / "back" / "here" / "run" / "checkpoints").iterdir())
    assert (status, names) == (0, ["step-4-unjudged", "step-8-unjudged"])
    status, printed, _ = run_script("stage-data", tmp_path, "9 0", stage=("absent",), results="back/here")
    assert (status, "absent" in printed) == (2, True)


NASTY = "-a'b\"c $(touch x) `touch x` $A *#!;&|<>(){a,b}[c]~\\\\ %j \u00e9"


@needs_bash
@pytest.mark.parametrize("kind", KINDS)
def test_every_text_arrives_as_it_is(kind: str, tmp_path: Path) -> None:
    """Files, variables and options of aam with all that has a meaning for a shell in their names."""
    (tmp_path / NASTY).write_text("--seed 1\n--seed 2 --lr 1e-3\r\n", "utf-8")
    (tmp_path / "stage").mkdir()
    options: dict[str, object] = {"stage": (f"stage/../{NASTY}",)} if kind == "stage-data" else {}
    options |= {"env": (f"A={NASTY}",), "settings": NASTY, "results": f"{NASTY}.results"}
    words = ("--table", NASTY, f"--tree={NASTY}", "--output-dir", f"{NASTY}.run")
    status, printed, log = run_script(kind, tmp_path, "0 0", words, **options)
    assert (status, printed) == (0, "")
    assert f"--table {NASTY} --tree={NASTY} " in log
    assert f"--output-dir {NASTY}.run" in log
    assert f"\nA={NASTY}\n" in log
    if kind == "array":
        assert " --seed 2 --lr 1e-3\n" in log
    assert not list(tmp_path.rglob("x"))


@needs_bash
def test_containers_modules_and_binds_arrive_as_they_are(tmp_path: Path) -> None:
    image, module = f"./{NASTY}", "gcc/12.2.0-gcc-8.5.0~x@1:2"
    status, printed, log = run_script(
        "pretrain-single", tmp_path, "0 0", container=image, bind=(f"/{NASTY}",), module=(module,)
    )
    assert (status, printed) == (0, "")
    assert f"module|loadmodule|{module}" in log
    assert f"apptainer|--bindapptainer|/{NASTY}apptainer|{image}apptainer|aam" in log


@needs_bash
def test_a_job_without_its_environment_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / NASTY).write_text("echo sourced\nfalse\n", "utf-8")
    for activate, message in ((NASTY, f"sourced\n{NASTY}: failed\n"), ("absent", "absent: failed\n")):
        status, printed, log = run_script("pretrain-single", tmp_path, "1 0", activate=activate)
        assert (status, log) == (2, "")
        assert printed.endswith(message)
    (tmp_path / NASTY).write_text("export PATH=/nowhere\n", "utf-8")
    status, printed, log = run_script("pretrain-single", tmp_path, "1 0", activate=NASTY)
    assert (status, log, printed) == (2, "", "aam: command not found; make it available with --module or --activate\n")
    run_script("pretrain-single", tmp_path, "1 0", module=("m/1",))
    script = (tmp_path / "job.sh").read_text("utf-8").replace("module load", "module() { return 1; }; module load", 1)
    done = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "module load m/1 failed\n")


@pytest.mark.parametrize("kind", KINDS)
def test_variables_of_the_script_cannot_be_passed(kind: str) -> None:
    script = render(kind, SlurmOptions(gpu="cuda"), ())
    names = set(re.findall(r"^ *(?:export )?([A-Za-z_]+)=", script, re.M)) | set(re.findall(r" ([A-Z_]+)=\$", script))
    assert {"cache", "local_disk", "run", "OMP_NUM_THREADS", "RANK", "LOCAL_RANK"} <= names
    for name in names | set(re.findall(r"\$\{?(SLURM_\w+)", script)):
        with pytest.raises(ValueError, match="is set by Slurm, bash or the script itself"):
            SlurmOptions(env=(f"{name}=1",))


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
def test_shellcheck_has_nothing_to_say(tmp_path: Path) -> None:
    ways: list[dict[str, object]] = [
        {},
        {"activate": "v/bin/activate", "env": ("A=$B `c` 'd'", "NCCL_DEBUG=")},
        {"container": "a.sif", "module": ("m/1",), "local_disk": "$A/${B}/${C:-d}"},
        dict.fromkeys(("activate", "settings", "results"), NASTY),
    ]
    scripts = []
    for kind, gpu, (number, way) in itertools.product(KINDS, ("rocm", "cuda", "none"), enumerate(ways)):
        script = tmp_path / f"{kind}-{gpu}-{number}.sh"
        script.write_text(render(kind, SlurmOptions(gpu=gpu, **way)), "utf-8")
        scripts.append(str(script))
    done = subprocess.run(["shellcheck", "--exclude=SC2016", *scripts], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")

"""The job scripts on a real Slurm: accepted, trained, signalled, saved, requeued, continued, finished.

Run by the slurm session of nox.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .cluster import PROGRAMS, Cluster, NotReady, cluster

pytestmark = [pytest.mark.slow, pytest.mark.slurm]
BIN = Path(sys.executable).parent
KINDS = ("pretrain-single", "pretrain-node", "train-multi", "array", "stage-data")
SIMULATED = {"samples": 24, "asvs": 60, "hosts": 12, "bases": 40, "depth": 300, "seed": 3}
SMALL = (
    *("--preset", "tiny", "--embedding-dim", "16", "--attention-heads", "2", "--attention-layers", "1"),
    *("--rarefy-depth", "100", "--batch-size", "5", "--lr", "2e-3", "--patience", "0", "--num-workers", "0"),
)
PRETRAIN = ("--table", "table.biom", "--tree", "tree.nwk", *SMALL)
TRAIN = ("--table", "table.biom", "--metadata", "metadata.tsv", "--metadata-column", "degree_days", *SMALL)
ON_CPU = ("--gpu", "none", "--cpus-per-device", "1", "--time", "20")
EPOCHS = 60
STEPS_PER_EPOCH = 4  # 17 training samples, 5 a step


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing or os.geteuid():
        pytest.skip(f"needs root and Slurm; missing: {', '.join(missing) or 'root'}")
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(cluster())
        except NotReady as error:
            pytest.skip(f"Slurm does not start here: {error}")
        running.environment["PATH"] = f"{BIN}{os.pathsep}{running.environment['PATH']}"
        running.environment["OMP_NUM_THREADS"] = "1"
        yield running


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with a small study, where jobs are submitted."""
    options = itertools.chain.from_iterable((f"--{name}", str(value)) for name, value in SIMULATED.items())
    subprocess.run([BIN / "aam", "simulate", "--output-dir", tmp_path / "s", *options], check=True, capture_output=True)
    for path in (tmp_path / "s").iterdir():
        path.rename(tmp_path / path.name)
    return tmp_path


def render(kind: str, *options: str) -> str:
    done = subprocess.run([BIN / "aam", "slurm", kind, *options], check=True, capture_output=True, text=True)
    return done.stdout


def has_distributed() -> bool:
    shown = subprocess.run([BIN / "aam", "pretrain", "--help-all"], check=True, capture_output=True, text=True)
    return "--distributed" in shown.stdout


def wait_for(what: Callable[[], bool], seconds: float, message: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, message()
        time.sleep(0.3)


def records(file: Path) -> list[dict[str, object]]:
    if not file.exists():
        return []
    lines = file.read_text("utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def steps(run: Path) -> list[int]:
    return [int(str(r["step"])) for r in records(run / "metrics.jsonl") if r["kind"] == "step"]


def signal_and_continue(slurm: Cluster, job: str, folder: Path, run: Path, running_in: Path | None = None) -> int:
    """Wait for the tenth step, signal, wait for the end; return the step that was saved in between.

    Args:
        run: where the run is after each start.
        running_in: where it is during a start, if elsewhere.
    """

    def logs() -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in folder.glob("*.out"))

    during = running_in or run
    wait_for(lambda: len(steps(during)) >= 10, 120, lambda: f"no steps: {slurm.job(job)}\n{logs()}")
    slurm.call("scancel", "--signal=USR1", job)
    wait_for(lambda: slurm.job(job).get("Restarts") == "1", 60, lambda: f"not requeued: {slurm.job(job)}\n{logs()}")
    wait_for(lambda: slurm.job(job)["JobState"] == "PENDING", 60, lambda: f"{slurm.job(job)}")
    names = [path.name for path in (run / "checkpoints").glob("step-*")]
    saved = max(int(name.split("-")[1]) for name in names)
    wait_for(
        lambda: slurm.job(job)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING"),
        300,
        lambda: f"{slurm.job(job)}\n{logs()}",
    )
    assert slurm.job(job)["JobState"] == "COMPLETED", logs()
    return saved


def check_continued(run: Path, saved: int, last: int) -> None:
    starts = records(run / "starts.jsonl")
    assert [start["from_step"] for start in starts] == [0, saved]
    assert 10 <= saved < last
    assert steps(run) == list(range(1, last + 1))


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
def test_every_combination_of_options_is_accepted_by_sbatch_and_shellcheck(slurm: Cluster, tmp_path: Path) -> None:
    ways = [(), ("--activate", "venv/bin/activate"), ("--container", "aam.sif", "--bind", "/scratch")]
    asked = [
        (),
        ("--partition", "main", "--memory", "1G", "--exclusive", "--job-name", "x", "--module", "rocm/6.3.0"),
        (
            "--local-disk",
            "/scratch/$SLURM_JOB_ID",
            "--devices",
            "2",
            "--signal-seconds",
            "60",
            "--time",
            "1-00:00:00",
            "--env",
            "NCCL_SOCKET_IFNAME=hsn0",
        ),
    ]
    scripts = []
    for number, (kind, gpu, way, more) in enumerate(itertools.product(KINDS, ("rocm", "cuda", "none"), ways, asked)):
        script = tmp_path / f"{number}-{kind}.sh"
        script.write_text(render(kind, "--gpu", gpu, *way, *more, "--cpus-per-device", "2"), "utf-8")
        scripts.append(script)
        said = slurm.call("sbatch", "--test-only", str(script), cwd=tmp_path)
        assert "to start at" in said
    done = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert len(scripts) == 135


def test_pretraining_on_one_device_goes_on_and_gives_the_same_weights(slurm: Cluster, study: Path) -> None:
    options = (*PRETRAIN, "--epochs", str(EPOCHS), "--output-dir", "run")
    script = study / "job.sh"
    script.write_text(render("pretrain-single", *ON_CPU, "--local-disk", str(study / "disk"), "--", *options), "utf-8")
    saved = signal_and_continue(slurm, slurm.submit(script, study), study, study / "run")
    check_continued(study / "run", saved, EPOCHS * STEPS_PER_EPOCH)
    assert f"saved at step {saved} (was 0): requeued" in next(study.glob("*.out")).read_text("utf-8")
    assert list((study / "disk").iterdir()) == []
    whole = [BIN / "aam", "pretrain", *options[:-1], "whole", "--device", "cpu"]
    subprocess.run(whole, check=True, capture_output=True, cwd=study, env=os.environ | {"OMP_NUM_THREADS": "1"})
    weights = [(study / name / "checkpoints/last/model.safetensors").read_bytes() for name in ("run", "whole")]
    assert weights[0] == weights[1]


def test_an_array_of_trainings_goes_on(slurm: Cluster, study: Path) -> None:
    (study / "settings.txt").write_text("--seed 1\n--seed 2 --weight-decay 0.1\n", "utf-8")
    options = (*TRAIN, "--epochs", str(EPOCHS), "--output-dir", "runs")
    script = study / "job.sh"
    asked = (*ON_CPU, "--tasks", "2", "--at-once", "2", "--local-disk", str(study / "disk"))
    script.write_text(render("array", *asked, "--", *options), "utf-8")
    job = slurm.submit(script, study)
    saved = signal_and_continue(slurm, f"{job}_1", study, study / "runs" / "1")
    check_continued(study / "runs" / "1", saved, EPOCHS * STEPS_PER_EPOCH)
    wait_for(lambda: slurm.job(f"{job}_2")["JobState"] == "COMPLETED", 120, lambda: f"{slurm.job(f'{job}_2')}")
    assert [start["from_step"] for start in records(study / "runs" / "2" / "starts.jsonl")] == [0]
    assert "weight_decay = 0.1" in (study / "runs" / "2" / "config.toml").read_text("utf-8")


def test_a_run_on_staged_files_goes_on_and_comes_back(slurm: Cluster, study: Path) -> None:
    shared = study / "shared"
    shared.mkdir()
    for name in ("table.biom", "tree.nwk"):
        (study / name).rename(shared / name)
    options = (*PRETRAIN, "--epochs", str(EPOCHS), "--output-dir", "run")
    files = ("--stage", "shared/table.biom", "--stage", "shared/tree.nwk", "--results", "back")
    script = study / "job.sh"
    script.write_text(
        render("stage-data", *ON_CPU, *files, "--local-disk", str(study / "disk"), "--", *options), "utf-8"
    )
    job = slurm.submit(script, study)
    here = study / "disk" / f"aam-{job}" / "run"
    saved = signal_and_continue(slurm, job, study, study / "back" / "run", here)
    check_continued(study / "back" / "run", saved, EPOCHS * STEPS_PER_EPOCH)
    assert list((study / "disk").iterdir()) == []


def test_the_status_of_a_job_is_that_of_aam(slurm: Cluster, study: Path) -> None:
    options = ("--table", "absent.biom", "--tree", "tree.nwk", "--output-dir", "run")
    script = study / "job.sh"
    script.write_text(render("pretrain-single", *ON_CPU, "--local-disk", str(study / "disk"), "--", *options), "utf-8")
    job = slurm.submit(script, study)
    wait_for(lambda: slurm.job(job)["JobState"] == "FAILED", 120, lambda: f"{slurm.job(job)}")
    assert (slurm.job(job)["ExitCode"], slurm.job(job)["Restarts"]) == ("2:0", "0")
    assert "absent.biom" in next(study.glob("*.out")).read_text("utf-8")


@pytest.mark.skipif(not has_distributed(), reason="this aam has no --distributed")
@pytest.mark.parametrize(
    ("kind", "shape", "options", "ranks"),
    [
        ("pretrain-node", ("--devices", "2"), PRETRAIN, "2"),
        ("train-multi", ("--nodes", "2", "--devices", "1"), TRAIN, "2"),
    ],
)
def test_several_tasks_go_on(
    slurm: Cluster, study: Path, kind: str, shape: tuple[str, ...], options: tuple[str, ...], ranks: str
) -> None:
    """All ranks are signalled, save one checkpoint, and continue from it."""
    words = (*options, "--batch-size", "3", "--epochs", str(EPOCHS // 2), "--output-dir", "run")
    script = study / "job.sh"
    script.write_text(render(kind, *ON_CPU, *shape, "--local-disk", str(study / "disk"), "--", *words), "utf-8")
    job = slurm.submit(script, study)
    saved = signal_and_continue(slurm, job, study, study / "run")
    check_continued(study / "run", saved, EPOCHS // 2 * 3)  # 17 training samples, 2 x 3 a step
    assert f"{ranks} processes" in next(study.glob("*.out")).read_text("utf-8")
    assert list((study / "disk").iterdir()) == []


@pytest.mark.skipif(not has_distributed(), reason="this aam has no --distributed")
def test_two_nodes_give_the_loss_of_one(slurm: Cluster, study: Path) -> None:
    """Each node takes half of the samples of a step, so the losses are those of one process with all of them."""
    scripts = {
        "two": ("train-multi", ("--nodes", "2", "--devices", "1"), "4"),
        "one": ("array", ("--tasks", "1"), "8"),
    }
    (study / "settings.txt").write_text("--seed 42\n", "utf-8")
    found = {}
    for name, (kind, asked, batch) in scripts.items():
        options = (*TRAIN, "--epochs", "3", "--batch-size", batch, "--output-dir", name)
        script = study / f"{name}.sh"
        script.write_text(render(kind, *ON_CPU, *asked, "--local-disk", str(study / "disk"), "--", *options), "utf-8")
        job = slurm.submit(script, study)
        wait_for(lambda job=job: slurm.job(job)["JobState"] == "COMPLETED", 180, lambda job=job: f"{slurm.job(job)}")
        run = study / name / ("1" if kind == "array" else "")
        found[name] = [r["loss"]["total"] for r in records(run / "metrics.jsonl") if r["kind"] == "step"]  # type: ignore[index]
    assert found["two"] == pytest.approx(found["one"], rel=1e-5)

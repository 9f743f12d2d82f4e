"""Job scripts made from options and templates."""

from __future__ import annotations

import re
import shlex
from importlib import resources
from itertools import pairwise
from string import Template

from aam_rocm_tools.slurm.config import AAM_COMMAND, Kind, SlurmOptions, check_text, shown

# Example options of aam, for the user to edit in the script.
DEFAULTS: dict[Kind, tuple[str, ...]] = {
    "pretrain-single": ("--table", "table.biom", "--tree", "tree.nwk", "--output-dir", "runs/pretrain"),
    "pretrain-node": ("--table", "table.biom", "--tree", "tree.nwk", "--output-dir", "runs/pretrain"),
    "train-multi": (
        *("--table", "table.biom", "--metadata", "metadata.tsv", "--metadata-column", "age"),
        *("--output-dir", "runs/train"),
    ),
    "array": (
        *("--table", "table.biom", "--metadata", "metadata.tsv", "--metadata-column", "age"),
        *("--output-dir", "runs/search"),
    ),
    "stage-data": ("--table", "table.biom", "--tree", "tree.nwk", "--output-dir", "run"),
}
_MULTI_DEVICE = {"pretrain-node", "train-multi"}  # kinds with one task for each of several devices
_CACHES = {
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "MPLCONFIGDIR": "matplotlib",
}
_GPU_CACHES = {
    "rocm": {"MIOPEN_USER_DB_PATH": "miopen", "MIOPEN_CUSTOM_CACHE_DIR": "miopen"},
    "cuda": {"CUDA_CACHE_PATH": "cuda"},
    "none": {},
}
_GPU_CACHES["any"] = _GPU_CACHES["rocm"] | _GPU_CACHES["cuda"]
# Options that the scripts set themselves, and why.
_SET_BY_SCRIPT = {
    "--resume-from": "a requeued job resumes automatically",
    "--distributed": "the kind of job determines it",
    "--data-parallel": "pretrain-node and train-multi start one task per device",
}


class Script(Template):
    """Template with placeholders like ``@@name``, because ``$`` belongs to the shell."""

    delimiter = "@@"
    idpattern = r"[a-z_]+"


def render(kind: Kind, options: SlurmOptions, aam: tuple[str, ...] = ()) -> str:
    """Return a job script.

    Args:
        kind: the kind of job.
        options: options of Slurm and of the preparation.
        aam: options of `aam pretrain` or `aam train`; if empty, the script has an example.

    Raises:
        ValueError: the options do not fit together.
    """
    words = list(aam or DEFAULTS[kind])
    for word in words:
        check_text("options of aam:", word)
    for flag, reason in _SET_BY_SCRIPT.items():
        if flag in words or any(word.startswith(f"{flag}=") for word in words):
            raise ValueError(f"{flag}: omit it; {reason}")
    output = _output_dir(words)
    if kind == "stage-data" and ("/" in output or output in (".", "..")):
        raise ValueError(
            f"--output-dir {shown(output)}: stage-data copies it to --results; use a name without a folder"
        )
    stage = options.stage or (("table.biom", "tree.nwk") if not aam else ())
    if kind == "stage-data" and not stage:
        raise ValueError("--stage: name the files to copy to the node's local disk")
    if kind != "stage-data" and options.stage:
        raise ValueError(f"--stage only applies to stage-data (got {kind})")
    if options.gpu == "none" and "--device" not in words:
        words += ["--device", "cpu"]
    blocks = {
        "sbatch": "\n".join(_sbatch(kind, options)),
        "environment": _environment(options),
        "caches": "\n".join(
            f"export {name}=$cache/{folder}" for name, folder in (_CACHES | _GPU_CACHES[options.gpu]).items()
        ),
        "run": shlex.quote(output),
        "aam": _command(kind, options, words),
        "results": shlex.quote(options.results),
        "settings": shlex.quote(options.settings),
        "staged": " ".join(map(shlex.quote, stage)),
        "local_disk": options.local_disk,
        "signal_seconds": str(options.signal_seconds),
    }
    parts = {name: _read(name).substitute(blocks).rstrip("\n") for name in ("prepare", "launch", "requeue")}
    parts["meeting"] = _read("meeting").template if kind in _MULTI_DEVICE else ""
    return _read(kind if kind in ("array", "stage-data") else "run").substitute(blocks | parts)


def _read(name: str) -> Script:
    return Script(resources.files("aam_rocm_tools.slurm").joinpath(f"templates/{name}.sh").read_text("utf-8"))


def _sbatch(kind: Kind, options: SlurmOptions) -> list[str]:
    nodes, devices = _shape(kind, options)
    values: list[tuple[str, str | None]] = [
        ("job-name", options.job_name or f"aam-{kind}"),
        ("account", options.account),
        ("partition", options.partition),
        ("qos", options.qos),
        ("reservation", options.reservation),
        ("time", options.time),
        ("nodes", str(nodes)),
        ("ntasks-per-node", str(devices)),
        ("cpus-per-task", None if options.cpus_per_device is None else str(options.cpus_per_device)),
        ("gpus-per-node", None if options.gpu == "none" else str(devices)),
        ("mem", options.memory),
        ("array", f"1-{options.tasks}%{options.at_once}" if kind == "array" else None),
        ("signal", f"USR1@{options.signal_seconds}"),
        ("output", "%x-%A_%a.out" if kind == "array" else "%x-%j.out"),
    ]
    lines = [f"#SBATCH --{name}={value}" for name, value in values if value is not None]
    flags = ["requeue", "open-mode=append", *(["exclusive"] if options.exclusive else [])]
    return lines + [f"#SBATCH --{flag}" for flag in flags]


def _shape(kind: Kind, options: SlurmOptions) -> tuple[int, int]:
    """Return the number of nodes, and of devices (tasks) per node."""
    if kind == "train-multi":
        return options.nodes, options.devices
    return 1, options.devices if kind == "pretrain-node" else 1


def _environment(options: SlurmOptions) -> str:
    lines = [_or_stop(f"module load {shlex.quote(name)}", f"module load {name} failed") for name in options.module]
    if options.activate is not None:
        source = _or_stop(f"source -- {shlex.quote(options.activate)}", f"{options.activate}: failed")
        lines += ["# shellcheck source=/dev/null", source]
    for name, value in (one.split("=", 1) for one in options.env):
        lines.append(f"export {name}={shlex.quote(value)}")
    program = "aam" if options.container is None else "apptainer"
    remedy = "make it available with --module" + (" or --activate" if program == "aam" else "")
    lines.append(_or_stop(f"command -v {program} > /dev/null", f"{program}: command not found; {remedy}"))
    return "\n".join(lines)


def _or_stop(command: str, message: str) -> str:
    """Return a line that ends the job with a message if a command fails."""
    return f"{command} || {{ echo {shlex.quote(message)} >&2; exit 2; }}"


def _command(kind: Kind, options: SlurmOptions, words: list[str]) -> str:
    """Return the elements of the shell array that runs aam, one option per line."""
    lines = []
    if options.container is not None:
        gpu = {"rocm": " --rocm", "cuda": " --nv"}.get(options.gpu, "")
        binds = "".join(f" --bind {shlex.quote(path)}" for path in options.bind)
        lines.append(f'apptainer exec{gpu} --bind "$local_disk"{binds} {shlex.quote(options.container)}')
    lines.append(f"aam {AAM_COMMAND[kind]}")
    if kind == "array":  # each run has its own folder, which the script sets
        words = _without_output_dir(words)
    for word in words:
        if word.startswith("--") or len(lines) < 2:
            lines.append(shlex.quote(word))
        else:
            lines[-1] += f" {shlex.quote(word)}"
    if kind in _MULTI_DEVICE and "--fsdp" not in words:
        lines.append("--distributed")
    lines.append("--resume-from auto")
    return "\n".join(f"  {line}" for line in lines)


def _output_dir(words: list[str]) -> str:
    """Return the run folder that the options of aam name."""
    folders = [b for a, b in pairwise(words) if a == "--output-dir"]
    folders += [match[1] for word in words if (match := re.fullmatch(r"--output-dir=(.+)", word))]
    if len(folders) != 1:
        raise ValueError("--output-dir: pass it once among the options of aam, so that the script can follow the run")
    return folders[0]


def _without_output_dir(words: list[str]) -> list[str]:
    kept = [word for word in words if not word.startswith("--output-dir=")]
    if "--output-dir" in kept:
        at = kept.index("--output-dir")
        del kept[at : at + 2]
    return kept

"""Properties of this machine that matter for training: devices, drivers, libraries, variables, known mismatches."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aam_rocm_tools.known_builds import Build, known_facts, this_build, version
from aam_rocm_tools.tables import text_table

NOT_HERE = "not available here"
# Variables that affect visible devices, memory management and kernel caches.
VARIABLES = re.compile(
    r"(CUDA|HIP|ROCR|GPU)_(VISIBLE_DEVICES|DEVICE_ORDINAL)|PYTORCH_(CUDA_|HIP_)?ALLOC_CONF|PYTORCH_NO_HIP_MEMORY_CACHING|"
    r"HSA_\w+|MIOPEN_\w+|(NCCL|RCCL)_\w+|TORCH_\w+|TORCHINDUCTOR_\w+|TRITON_\w+|OMP_NUM_THREADS|MASTER_(ADDR|PORT)|"
    r"(LOCAL_)?RANK|WORLD_SIZE"
)
# SLURM_JWT and the like are secrets, so only these are shown.
SLURM_VARIABLES = re.compile(
    r"SLURM_(CLUSTER_NAME|JOB_(ID|NAME|PARTITION|NODELIST|NUM_NODES|GPUS|RESERVATION)|RESTART_COUNT|NODEID|PROCID|"
    r"LOCALID|NTASKS(_PER_NODE)?|CPUS_(PER_TASK|ON_NODE)|GPUS(_ON_NODE|_PER_NODE)?|MEM_PER_NODE|ARRAY_(JOB|TASK)_ID)"
)
_GB = 1e9


@dataclass(frozen=True)
class Device:
    """A GPU.

    Attributes:
        architecture: ``gfx942``, or ``sm_90`` for NVIDIA.
        memory_gb: total memory; an APU shares it with the CPU.
        unified: whether CPU and GPU share memory.
    """

    name: str
    architecture: str
    memory_gb: float
    unified: bool


@dataclass(frozen=True)
class Environment:
    """Properties of a machine.

    Attributes:
        build: the build of PyTorch.
        libraries: version by name, ``not available here`` if there is none.
        devices: GPUs that PyTorch sees.
        cpus: number of CPUs that this process may use.
        memory_gb: memory of the machine.
        bf16: whether the GPUs support bfloat16 in hardware.
        variables: environment variables that matter, including those of Slurm.
        warnings: likely problems.
        facts: known facts about this build.
    """

    python: str
    platform: str
    build: Build
    libraries: dict[str, str]
    devices: list[Device]
    cpus: int
    memory_gb: float
    bf16: bool
    variables: dict[str, str]
    warnings: list[str]
    facts: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return the values for JSON."""
        values = dict(vars(self))
        values["build"] = dict(vars(self.build))
        values["devices"] = [dict(vars(device)) for device in self.devices]
        return values


def inspect_environment(variables: Mapping[str, str] = os.environ, root: Path = Path("/")) -> Environment:
    """Collect the properties of this machine.

    Args:
        variables: the environment variables.
        root: root of the file system.
    """
    build = this_build()
    shown = {
        name: variables[name]
        for name in sorted(variables)
        if VARIABLES.fullmatch(name) or SLURM_VARIABLES.fullmatch(name)
    }
    libraries = _libraries(build, root)
    devices = [_device(index) for index in range(torch.cuda.device_count())]
    bf16 = bool(devices) and torch.cuda.is_bf16_supported(including_emulation=False)
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        build=build,
        libraries=libraries,
        devices=devices,
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gb=_memory_gb(root),
        bf16=bf16,
        variables=shown,
        warnings=find_problems(build, libraries["ROCm"], devices, shown),
        facts=known_facts(build),
    )


def find_problems(build: Build, rocm: str, devices: list[Device], variables: Mapping[str, str]) -> list[str]:
    """Return warnings about parts that do not fit together.

    Args:
        build: the build of PyTorch.
        rocm: version of the installed ROCm, or ``not available here``.
        devices: GPUs that PyTorch sees.
        variables: the environment variables.
    """
    problems = []
    if build.hip and rocm != NOT_HERE and version(build.hip) != version(rocm):
        problems.append(
            f"PyTorch is built for ROCm {build.hip}, this machine has {rocm}. Wheels include their own ROCm, so this "
            "works as long as the driver is new enough; do not add /opt/rocm/lib to LD_LIBRARY_PATH"
        )
    if (build.hip or build.cuda) and not devices:
        made_for = "ROCm" if build.hip else "CUDA"
        problems.append(f"PyTorch is built for {made_for} but sees no GPU: {_why_no_gpu(build, variables)}")
    filters = [
        name for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES") if name in variables
    ]
    if build.hip and len(filters) > 1:
        problems.append(
            f"{' and '.join(filters)} are set together: each filters the devices left by the one before. Keep only one"
        )
    if build.hip and "HSA_OVERRIDE_GFX_VERSION" in variables:
        problems.append("HSA_OVERRIDE_GFX_VERSION runs kernels of another architecture: results may be wrong")
    if any(device.unified for device in devices):
        problems.append(
            "CPU and GPU share memory: memory used by --num-workers and the page cache is not available to the GPU, "
            "and the system kills a process that uses too much, without an error message"
        )
    return problems


def environment_report(environment: Environment) -> str:
    """Format the properties as a table, followed by warnings and facts."""
    rows = [
        ["Python", environment.python],
        ["system", environment.platform],
        ["PyTorch", str(environment.build)],
        *([name, text] for name, text in environment.libraries.items()),
        ["CPUs", str(environment.cpus)],
        ["memory", f"{environment.memory_gb:.1f} GB"],
    ]
    for index, device in enumerate(environment.devices):
        memory = f"{device.memory_gb:.1f} GB{', shared with the CPU' if device.unified else ''}"
        rows.append([f"cuda:{index}", f"{device.name}, {device.architecture}, {memory}"])
    if not environment.devices:
        rows.append(["GPUs", NOT_HERE])
    rows.append(["bfloat16", "in hardware" if environment.bf16 else NOT_HERE])
    rows += [[name, text] for name, text in environment.variables.items()]
    lines = [text_table(["", ""], rows).lstrip("\n")]
    lines += [f"warning: {text}" for text in environment.warnings]
    return "\n".join([*lines, *environment.facts])


def _device(index: int) -> Device:
    properties = torch.cuda.get_device_properties(index)
    if torch.version.hip:
        architecture = properties.gcnArchName.split(":")[0]
    else:
        architecture = f"sm_{properties.major}{properties.minor}"
    unified = bool(properties.is_integrated) or "MI300A" in properties.name
    return Device(properties.name, architecture, properties.total_memory / _GB, unified)


def _libraries(build: Build, root: Path) -> dict[str, str]:
    nccl = NOT_HERE
    if (build.hip or build.cuda) and torch.distributed.is_available() and torch.distributed.is_nccl_available():
        nccl = ".".join(map(str, torch.cuda.nccl.version()))
    return {
        "ROCm": _first_line(root / "opt/rocm/.info/version"),
        "amdgpu driver": _first_line(root / "sys/module/amdgpu/version"),
        "NVIDIA driver": _nvidia_driver(root),
        "RCCL" if build.hip else "NCCL": nccl,
        "rocprofv3": shutil.which("rocprofv3") or NOT_HERE,
        "rocprof": shutil.which("rocprof") or NOT_HERE,
    }


def _nvidia_driver(root: Path) -> str:
    match = re.search(r"\b\d+\.\d+(\.\d+)?\b", _first_line(root / "proc/driver/nvidia/version"))
    return match[0] if match else NOT_HERE


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").splitlines()[0].strip()
    except (OSError, IndexError):
        return NOT_HERE


def _memory_gb(root: Path) -> float:
    match = re.search(r"MemTotal:\s+(\d+) kB", (root / "proc/meminfo").read_text(encoding="utf-8"))
    return int(match[1]) * 1024 / _GB if match else float("nan")


def _why_no_gpu(build: Build, variables: Mapping[str, str]) -> str:
    hidden = [name for name in variables if name.endswith("VISIBLE_DEVICES") and variables[name] in ("", "-1")]
    if hidden:
        return f"{hidden[0]} hides them all"
    if build.hip:
        return (
            "/dev/kfd is missing, or you are not in its group (render, video)"
            if not _can_open_kfd()
            else "see rocminfo"
        )
    return "see nvidia-smi"


def _can_open_kfd() -> bool:
    return os.access("/dev/kfd", os.R_OK | os.W_OK)

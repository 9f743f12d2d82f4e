"""The environment report of this machine and of others: its warnings, and what it does not show."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from aam_rocm_tools.environment import NOT_HERE, Device, environment_report, find_problems, inspect_environment
from aam_rocm_tools.known_builds import Build, version
from aam_rocm_tools.main import main

ROCM = Build("2.7.1+rocm6.3", "6.3.42131-fa1d09cbd")
MI300A = Device("AMD Instinct MI300A", "gfx942", 128.0, unified=True)
MI300X = Device("AMD Instinct MI300X", "gfx942", 192.0, unified=False)


def file_system(root: Path) -> Path:
    """Write the files that a node with ROCm has."""
    for name, text in {
        "opt/rocm/.info/version": "6.3.0-39\n",
        "sys/module/amdgpu/version": "6.10.5\n",
        "proc/meminfo": "MemTotal:       131072000 kB\nMemFree: 1 kB\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    return root


def test_versions_come_from_the_files_of_the_system(tmp_path: Path) -> None:
    found = inspect_environment({}, file_system(tmp_path))
    assert found.libraries["ROCm"] == "6.3.0-39"
    assert found.libraries["amdgpu driver"] == "6.10.5"
    assert found.libraries["NVIDIA driver"] == NOT_HERE
    assert found.memory_gb == pytest.approx(134.217728)
    assert found.build.torch == torch.__version__
    assert len(found.devices) == torch.cuda.device_count()


def test_only_variables_that_matter_are_shown_and_no_secrets(tmp_path: Path) -> None:
    variables = {
        "PYTORCH_HIP_ALLOC_CONF": "expandable_segments:True",
        "HSA_XNACK": "1",
        "SLURM_JOB_ID": "12",
        "SLURM_JWT": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "ROCR_VISIBLE_DEVICES": "0",
        "LOCAL_RANK": "1",
    }
    found = inspect_environment(variables, file_system(tmp_path))
    assert set(found.variables) == set(variables) - {"SLURM_JWT", "AWS_SECRET_ACCESS_KEY"}
    assert "secret" not in environment_report(found) + json.dumps(found.to_dict())


@pytest.mark.parametrize(
    ("build", "rocm", "devices", "variables", "words"),
    [
        (ROCM, "6.3.0", [MI300X], {}, []),
        (ROCM, "6.2.4", [MI300X], {}, ["PyTorch is built for ROCm 6.3.42131-fa1d09cbd, this machine has 6.2.4"]),
        (ROCM, "6.3.0", [], {"HIP_VISIBLE_DEVICES": ""}, ["sees no GPU: HIP_VISIBLE_DEVICES hides them all"]),
        (ROCM, NOT_HERE, [], {}, ["PyTorch is built for ROCm but sees no GPU"]),
        (
            ROCM,
            "6.3.0",
            [MI300X],
            {"HIP_VISIBLE_DEVICES": "0", "ROCR_VISIBLE_DEVICES": "0"},
            ["HIP_VISIBLE_DEVICES and ROCR_VISIBLE_DEVICES are set together"],
        ),
        (ROCM, "6.3.0", [MI300X], {"HSA_OVERRIDE_GFX_VERSION": "9.4.2"}, ["kernels of another architecture"]),
        (ROCM, "6.3.0", [MI300A], {}, ["CPU and GPU share memory"]),
        (Build("2.7.1+cpu"), NOT_HERE, [], {}, []),
        (Build("2.7.1+cu126", None, "12.6"), NOT_HERE, [], {}, ["built for CUDA but sees no GPU: see nvidia-smi"]),
    ],
)
def test_what_does_not_fit_together(build, rocm, devices, variables, words) -> None:  # type: ignore[no-untyped-def]
    found = find_problems(build, rocm, devices, variables)
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))


def test_a_bad_pair_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", "6.2.41133-dd7f95766")
    monkeypatch.setattr(torch, "__version__", "2.5.1+rocm6.2")
    text = environment_report(inspect_environment({}, file_system(tmp_path)))
    assert "mem_efficient attention is wrong with a mask" in text
    assert "--attn-implementation math --no-gradient-checkpointing" in text
    assert "warning: PyTorch is built for ROCm 6.2.41133-dd7f95766, this machine has 6.3.0-39" in text


def test_the_command_prints_text_and_json() -> None:
    text = CliRunner().invoke(main, ["env"])
    assert (text.exit_code, str(torch.__version__) in text.output) == (0, True)
    found = json.loads(CliRunner().invoke(main, ["env", "--json"]).output)
    assert found["build"]["torch"] == torch.__version__
    assert found["cpus"] >= 1


def test_versions_are_read() -> None:
    assert version("6.2.41133-dd7f95766") == (6, 2)
    assert version("2.7.1+rocm6.3") == (2, 7)
    with pytest.raises(ValueError, match="is not a version"):
        version("main")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_on_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        program = [sys.executable, "-m", "aam_rocm_tools", "slurm", "array"]
        done = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "Error: standard output: No space left on device\n")

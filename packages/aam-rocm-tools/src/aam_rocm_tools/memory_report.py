"""What a run's ``memory.json`` (of ``aam ... --memory-profile``) says, and the batch size that another device takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aam_rocm_tools.tables import text_table

FILE = "memory.json"
_GB = 1e9
_FILL = 0.9  # of a device's memory; what allocators need beside
_FAR = 8  # times the measured batch, beyond which a straight line says little


class MemoryFileError(ValueError):
    """Not a memory.json of AAM; the message says which file and what to do."""


@dataclass(frozen=True)
class Memory:
    """Peaks of a run.

    Attributes:
        device: that it ran on.
        measure: what the bytes are.
        total_bytes: of the device's memory.
        steps: that were measured.
        peaks: bytes by phase, in their order.
        resident_bytes: what stays between steps: weights, optimizer state, everything else of the process.
        settings: those that memory depends on.
        suggestions: what the run said.
    """

    device: str
    measure: str
    total_bytes: int
    steps: int
    peaks: dict[str, int]
    resident_bytes: int
    settings: dict[str, Any]
    suggestions: list[str]

    @property
    def peak(self) -> int:
        return max(self.peaks.values())

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))


def read_memory(path: Path) -> Memory:
    """The record of a run folder (or the file itself).

    Raises:
        MemoryFileError: there is none, or it is not one.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise MemoryFileError(f"{file}: no such file. Give `aam pretrain` or `aam train` --memory-profile")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != 1:
            raise MemoryFileError(f"{file}: has format {content['format']}; a newer aam-rocm-tools is needed")
        found = Memory(
            device=str(content["device"]),
            measure=str(content["measure"]),
            total_bytes=int(content["total_bytes"]),
            steps=int(content["steps"]),
            peaks={str(name): int(value) for name, value in content["peaks"].items()},
            resident_bytes=int(content["resident_bytes"]),
            settings=dict(content["settings"]),
            suggestions=[str(text) for text in content["suggestions"]],
        )
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise MemoryFileError(f"{file}: not a {FILE} of AAM ({type(error).__name__}: {error})") from error
    if not found.peaks:
        raise MemoryFileError(f"{file}: has no phase")
    return found


def largest_batch(memory: Memory, gb: float) -> int:
    """The batch size whose peak fills nine tenths of ``gb`` GB, if what a step needs grows with its samples.

    0 when not even what stays between steps fits.
    """
    batch, grows = int(memory.settings["batch_size"]), memory.peak - memory.resident_bytes
    free = _FILL * gb * _GB - memory.resident_bytes
    if free <= 0:
        return 0
    return max(1, int(batch * free / max(grows, 1)))


def suggestions(memory: Memory, gb: float | None = None) -> list[str]:
    """What the run said; for a device of ``gb`` GB the batch size that fits."""
    if gb is None:
        return memory.suggestions
    batch = largest_batch(memory, gb)
    if batch == 0:
        return [
            f"{gb:g} GB do not hold what stays between steps ({memory.resident_bytes / _GB:.2f} GB): take a smaller "
            "--preset"
        ]
    now = int(memory.settings["batch_size"])
    if batch > _FAR * now:
        return [f"{gb:g} GB hold more than {_FAR} times --batch-size {now}; measure a larger one to know how many"]
    if batch >= now:
        return [f"{gb:g} GB hold this run; --batch-size up to about {batch} would fit (it was {now})"]
    return [
        f"{gb:g} GB do not hold --batch-size {now}; about {batch} fits. "
        f"--gradient-accumulation-steps {-(-now // batch)} keeps the size of a step"
    ]


def memory_report(memory: Memory, gb: float | None = None) -> str:
    """For people."""
    rows = [
        [name, f"{peak / _GB:.3f}", f"{peak / memory.total_bytes:.0%}", "<- highest" if peak == memory.peak else ""]
        for name, peak in memory.peaks.items()
    ]
    rows.append(
        ["between steps", f"{memory.resident_bytes / _GB:.3f}", f"{memory.resident_bytes / memory.total_bytes:.0%}", ""]
    )
    settings = ", ".join(f"{name} {value}" for name, value in memory.settings.items())
    return "\n".join(
        [
            f"{memory.measure} on {memory.device}, {memory.steps:,} steps, {memory.total_bytes / _GB:.1f} GB in all",
            f"settings: {settings}",
            "",
            text_table(["phase", "peak GB", "of all", ""], rows, numbers={1, 2}),
            "",
            *suggestions(memory, gb),
        ]
    )

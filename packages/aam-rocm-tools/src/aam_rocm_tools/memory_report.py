"""Report on a run's ``memory.json`` (of ``aam ... --memory-profile``), and the batch size that fits another device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aam_rocm_tools.records import read_record
from aam_rocm_tools.tables import text_table

FILE = "memory.json"
_GB = 1e9
_USABLE = 0.9  # share of a device's memory; allocators need the rest
_MAX_FACTOR = 8  # times the measured batch size; a straight line says little beyond


class MemoryFileError(ValueError):
    """Not a memory.json of AAM; the message names the file and the remedy."""


@dataclass(frozen=True)
class Memory:
    """Peaks of a run.

    Attributes:
        device: the device that it ran on.
        measure: the kind of memory that the bytes count.
        total_bytes: memory of the device.
        steps: number of measured steps.
        peaks: bytes by phase, in their order.
        resident_bytes: bytes that stay between steps: weights, optimizer state, everything else of the process.
        settings: the settings that memory depends on.
        suggestions: the suggestions that the run logged.
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
        """The highest peak of all phases, bytes."""
        return max(self.peaks.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the values for JSON."""
        return dict(vars(self))


def read_memory(path: Path) -> Memory:
    """Read the record of a run.

    Args:
        path: the run folder, or the file itself.

    Raises:
        MemoryFileError: the file is absent or not such a file.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise MemoryFileError(f"{file}: no such file. Run `aam pretrain` or `aam train` with --memory-profile")
    memory = read_record(file, f"{FILE} of AAM", _from_content, MemoryFileError)
    if not memory.peaks:
        raise MemoryFileError(f"{file}: has no phases")
    return memory


def _from_content(content: dict[str, Any]) -> Memory:
    return Memory(
        device=str(content["device"]),
        measure=str(content["measure"]),
        total_bytes=int(content["total_bytes"]),
        steps=int(content["steps"]),
        peaks={str(name): int(value) for name, value in content["peaks"].items()},
        resident_bytes=int(content["resident_bytes"]),
        settings=dict(content["settings"]),
        suggestions=[str(text) for text in content["suggestions"]],
    )


def largest_batch(memory: Memory, gb: float) -> int:
    """Return the batch size whose peak fills nine tenths of ``gb`` GB, if memory grows linearly with the batch.

    0 if not even the memory that stays between steps fits.
    """
    batch, growth = int(memory.settings["batch_size"]), memory.peak - memory.resident_bytes
    free = _USABLE * gb * _GB - memory.resident_bytes
    if free <= 0:
        return 0
    return max(1, int(batch * free / max(growth, 1)))


def suggestions(memory: Memory, gb: float | None = None) -> list[str]:
    """Return the suggestions of the run or, for a device of ``gb`` GB, about the batch size that fits it."""
    if gb is None:
        return memory.suggestions
    batch = largest_batch(memory, gb)
    if batch == 0:
        return [
            f"{gb:g} GB are less than the memory that stays between steps ({memory.resident_bytes / _GB:.2f} GB); "
            "use a smaller --preset"
        ]
    now = int(memory.settings["batch_size"])
    if batch > _MAX_FACTOR * now:
        return [f"{gb:g} GB fit more than {_MAX_FACTOR} times --batch-size {now}; measure a larger one for an estimate"]
    if batch >= now:
        return [f"{gb:g} GB fit this run; --batch-size up to about {batch} would fit (it was {now})"]
    return [
        f"{gb:g} GB do not fit --batch-size {now}; about {batch} fits. "
        f"--gradient-accumulation-steps {-(-now // batch)} keeps the size of a step"
    ]


def memory_report(memory: Memory, gb: float | None = None) -> str:
    """Format the peaks of the phases, the settings and the suggestions."""
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
            f"{memory.measure} on {memory.device}, {memory.steps:,} steps, {memory.total_bytes / _GB:.1f} GB in total",
            f"settings: {settings}",
            "",
            text_table(["phase", "peak GB", "of total", ""], rows, numbers={1, 2}),
            "",
            *suggestions(memory, gb),
        ]
    )

"""`--memory-profile`: peak memory of each phase of a run, and the flags that change it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aam_models.batch.batch import Batch
from aam_models.encoder.encoder import Encoder
from aam_models.predictor.predictor import Predictor
from aam_train.device.malloc import return_freed_memory
from aam_train.device.memory import peak_memory, reset_peak_memory, used_memory
from aam_train.engine.step import Step
from aam_train.engine.update import Update
from aam_train.files import write_json
from aam_train.losses.objective import Counts, LossBreakdown, Objective, TrueValues
from aam_train.memory.cost_model import GB
from aam_train.reporting.records import Reporter

FILE = "memory.json"
CREATION, TRANSFER, FORWARD, BACKWARD, UPDATE = "model creation", "transfer", "forward", "backward", "optimizer step"
_LOW, _HIGH = 0.5, 0.8  # shares of the device's memory


class MemoryProfile:
    """Peak memory by phase: allocated by PyTorch on a GPU, or resident in the process (without its workers) on a CPU.

    Attributes:
        peaks: bytes by phase, the maximum over all steps.
        resident: bytes after the last step: weights, optimizer state, the rest of the process.
        steps: number of measured steps.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.peaks: dict[str, int] = {}
        self.resident = 0
        self.steps = 0

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the peak within this context as part of a phase."""
        return_freed_memory()  # of earlier phases
        reset_peak_memory(self.device)
        yield
        self.peaks[name] = max(self.peaks.get(name, 0), peak_memory(self.device))

    @property
    def highest(self) -> int:
        """Peak over all phases so far, in bytes."""
        return max(self.peaks.values(), default=0)

    def end_step(self) -> None:
        """Count a step and measure the memory in use after its update."""
        self.steps += 1
        return_freed_memory()
        self.resident = used_memory(self.device)

    @property
    def total(self) -> int:
        """Memory of the device, in bytes."""
        if self._on_gpu:
            return torch.cuda.get_device_properties(self.device).total_memory
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def report(self, folder: Path, config: Any, batch_size: int, reporter: Reporter) -> None:
        """Write ``memory.json`` into the run's folder and log the peaks; does nothing without a measured step.

        Args:
            folder: of the run.
            config: of the run.
            batch_size: of the run.
            reporter: receives one line per phase, and the suggestions.
        """
        if not self.steps:
            return
        settings = {
            "batch_size": batch_size,
            "token_limit": config.sample.max_asvs,
            "asv_chunk_size": config.model.asv_chunk_size,
            "mixed_precision": config.compute.mixed_precision,
            "attn_implementation": config.compute.attn_implementation,
            "gradient_checkpointing": config.compute.gradient_checkpointing,
        }
        advice = suggestions(self.peaks, self.resident, self.total, settings, on_gpu=self._on_gpu)
        content = {
            "format": 1,
            "device": str(self.device),
            "measure": "memory allocated by PyTorch" if self._on_gpu else "resident memory of the process",
            "total_bytes": self.total,
            "steps": self.steps,
            "peaks": self.peaks,
            "resident_bytes": self.resident,
            "settings": settings,
            "suggestions": advice,
        }
        write_json(folder / FILE, content)
        for name, highest in [*self.peaks.items(), ("between steps", self.resident)]:
            reporter.note(
                f"memory, {name}: {highest / GB:.3f} GB ({highest / self.total:.0%} of {self.total / GB:.1f} GB)"
            )
        for text in advice:
            reporter.note(f"memory: {text}")

    @property
    def _on_gpu(self) -> bool:
        return self.device.type == "cuda"


class MeasuredStep(Step):
    """`Step` whose transfer and forward pass are phases of a profile."""

    def __init__(self, memory: MemoryProfile, model: Encoder | Predictor, device: torch.device, **options: Any) -> None:
        super().__init__(model, device, **options)
        self.memory = memory

    def losses(self, batch: Batch, objective: Objective, true: TrueValues, counts: Counts) -> LossBreakdown:
        """Run `Step.losses` in two phases: transfer and forward pass."""
        with self.memory.phase(TRANSFER):
            batch, true = batch.to(self.device), true.to(self.device)
        with self.memory.phase(FORWARD):
            return super().losses(batch, objective, true, counts)

    def peak_memory(self) -> int:
        """Return the peak over all phases, since each of them restarts the measurement."""
        return self.memory.highest


class MeasuredUpdate(Update):
    """`Update` whose parts are phases of a profile."""

    def __init__(self, memory: MemoryProfile, optimizer: torch.optim.Optimizer, *options: Any) -> None:
        super().__init__(optimizer, *options)
        self.memory = memory

    def backward(self, loss: Tensor) -> None:
        """Run `Update.backward` as a phase."""
        with self.memory.phase(BACKWARD):
            super().backward(loss)

    def apply(self) -> None:
        """Run `Update.apply` as a phase, which ends the step."""
        with self.memory.phase(UPDATE):
            super().apply()
        self.memory.end_step()


def creation_phase(memory: MemoryProfile | None) -> AbstractContextManager[None]:
    """Return the context in which the model is created: a phase, if there is a profile."""
    return contextlib.nullcontext() if memory is None else memory.phase(CREATION)


def build_step(memory: MemoryProfile | None, model: Encoder | Predictor, device: torch.device, **options: Any) -> Step:
    """Build a `Step`, measured if there is a profile."""
    return Step(model, device, **options) if memory is None else MeasuredStep(memory, model, device, **options)


def build_update(step: Step, optimizer: torch.optim.Optimizer, limit: float) -> Update:
    """Build an `Update`, measured if the step is."""
    options = (optimizer, step.precision.scaler(), limit, step.strategy.clip)
    return MeasuredUpdate(step.memory, *options) if isinstance(step, MeasuredStep) else Update(*options)


def suggestions(
    peaks: dict[str, int], resident: int, total: int, settings: dict[str, Any], *, on_gpu: bool
) -> list[str]:
    """Suggest flags to change, based on the measurements.

    Args:
        peaks: bytes by phase.
        resident: bytes between steps.
        total: memory of the device, in bytes.
        settings: batch_size, mixed_precision, gradient_checkpointing of the run.
        on_gpu: whether the device is a GPU.
    """
    highest = max(peaks, key=lambda name: peaks[name])
    peak, batch = peaks[highest], settings["batch_size"]
    advice = [f"the peak is in {highest}"]
    if peak < _LOW * total:
        larger = int(batch * (_HIGH * total - resident) / max(peak - resident, 1))
        if on_gpu and larger >= 2 * batch:
            advice.append(f"there is room: --batch-size up to about {min(larger, 8 * batch)} would fit")
        return advice
    if resident > peak / 2:
        advice.append("most of it is there between steps (weights, optimizer): a smaller --preset needs less")
    if peak > _HIGH * total:
        if not settings["gradient_checkpointing"]:
            advice.append("--gradient-checkpointing keeps fewer activations")
        if on_gpu and settings["mixed_precision"] == "none":
            advice.append("--mixed-precision bf16 halves activations")
        advice.append(
            f"--batch-size {max(batch // 2, 1)} with twice the --gradient-accumulation-steps, or a lower --max-asvs"
        )
    return advice

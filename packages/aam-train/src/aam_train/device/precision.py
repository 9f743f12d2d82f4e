"""Numerical settings: precision and autocast, attention kernel, compilation, determinism."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from aam_models.attention_check import attention_error, attention_is_right
from aam_models.batch.batch import AsvOutput, EncoderOutput, PredictorOutput
from aam_models.encoder.encoder import Encoder
from aam_models.encoder.transformer import Block
from aam_models.predictor.predictor import Predictor
from aam_train.device.malloc import keep_freed_memory
from aam_train.errors import TrainError
from aam_train.options.compute import ComputeOptions
from aam_train.reporting.records import Reporter

OutputT = TypeVar("OutputT", AsvOutput, EncoderOutput, PredictorOutput)
_BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "mem_efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Precision:
    """The arithmetic of forward passes.

    Attributes:
        name: "none", "bf16" or "fp16".
    """

    device: torch.device
    name: str = "none"

    def forward(self) -> AbstractContextManager[object]:
        """Return the context of a forward pass of the model; losses are computed outside of it, in float32."""
        if self.name == "none":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, _TYPES[self.name])

    def to_float32(self, output: OutputT) -> OutputT:
        """Convert the 16-bit tensors of a model's output to float32."""
        if self.name == "none":
            return output
        changed: dict[str, Any] = {}
        for name, value in output._asdict().items():
            if isinstance(value, Tensor):
                changed[name] = value.float()
            elif isinstance(value, dict):
                changed[name] = {head: prediction.float() for head, prediction in value.items()}
        return output._replace(**changed)

    def scaler(self) -> torch.amp.GradScaler | None:
        """Return a loss scaler that keeps small gradients from vanishing in fp16; None for other precisions."""
        return torch.amp.GradScaler(self.device.type) if self.name == "fp16" else None


def build_precision(options: ComputeOptions, device: torch.device) -> Precision:
    """Return the precision that the options ask for; by default bf16 on a GPU that supports it."""
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return Precision(device, options.mixed_precision or ("bf16" if has_bf16 else "none"))


def prepare_model(model: Encoder | Predictor, options: ComputeOptions, reporter: Reporter) -> None:
    """Compile the transformer blocks if the options ask for it; weights and their names do not change."""
    if not options.compile_model:
        return
    if torch.version.hip is not None:
        reporter.note("warning: continuing without --compile-model: torch.compile fails on ROCm (in Triton)")
        return
    compiled = torch.compile(Block.forward, dynamic=True)  # one graph for all blocks: their weights are its inputs
    for transformer in model.transformers():
        transformer.compiled = compiled


@contextlib.contextmanager
def torch_settings(options: ComputeOptions, device: torch.device, reporter: Reporter) -> Iterator[None]:
    """Apply PyTorch's process-wide settings during a run, and restore them afterwards.

    The attention kernel also applies to the backward pass. On the CPU this configures malloc too, permanently.

    Raises:
        TrainError: the device lacks the chosen attention kernel, or has no correct one.
    """
    if device.type == "cpu":
        keep_freed_memory()
    matmul, deterministic = torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()
    if options.use_expandable_segments and device.type == "cuda":
        torch.cuda.memory._set_allocator_settings("expandable_segments:True")
    if options.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS needs it before its first matrix product
    torch.set_float32_matmul_precision("high" if options.tf32 else "highest")
    torch.use_deterministic_algorithms(options.deterministic or deterministic)
    backend, precision = _BACKENDS.get(options.attn_implementation), build_precision(options, device)
    try:
        with trusted_attention(precision, reporter) if backend is None else sdpa_kernel(backend):
            if backend is not None:
                _try_attention(precision, options.attn_implementation)
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.use_deterministic_algorithms(deterministic)


@contextlib.contextmanager
def trusted_attention(precision: Precision, reporter: Reporter) -> Iterator[None]:
    """Use PyTorch's choice of attention kernel, but on ROCm, where some builds are wrong, check its results first; if
    they are wrong, warn and use math.

    Raises:
        TrainError: math is wrong too.
    """
    kind = _TYPES.get(precision.name, torch.float32)
    if torch.version.hip is None or attention_is_right(precision.device, kind):
        yield
        return
    build = f"PyTorch {torch.__version__} for ROCm {torch.version.hip}"
    name, error = str(kind).removeprefix("torch."), attention_error(precision.device, kind)
    with sdpa_kernel(SDPBackend.MATH):
        if not attention_is_right(precision.device, kind):
            raise TrainError(
                f"attention of {build} gives wrong results in {name} on {precision.device}, even with math. "
                "Use another PyTorch; `aam-rocm attention` shows details"
            )
        reporter.note(
            f"warning: attention of {build} gives wrong results in {name} (off by {error:.2g} of the "
            "largest value), so --attn-implementation math is used: slower, with more "
            "memory. `aam-rocm attention` shows details"
        )
        yield


def _try_attention(precision: Precision, name: str) -> None:
    """Run the chosen kernel forward and backward, without and with a mask, as the encoder does."""
    kind = _TYPES.get(precision.name, torch.float32)
    q = torch.zeros(2, 1, 8, 16, device=precision.device, dtype=kind, requires_grad=True)
    mask = torch.ones(2, 1, 1, 8, dtype=torch.bool, device=precision.device)
    for attn_mask, case in ((None, ""), (mask, " with a mask, which samples of unequal size need")):
        try:
            scaled_dot_product_attention(q, q, q, attn_mask=attn_mask).sum().backward()
        except RuntimeError as error:
            raise TrainError(
                f"--attn-implementation {name}: {precision.device} has no such kernel for "
                f"{str(kind).removeprefix('torch.')}{case}. Leave the option out"
            ) from error

"""Peak FLOP/s of a device: from its data sheet, or measured if the device is not in the table."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

TERA = 1e12
SECONDS_OF_MEASUREMENT = 0.2
_TYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

# Dense matrix products in 10^12 operations per second: fp32, tf32, bf16, fp16, accumulated in float32. The first name
# that matches a device's name is used, so specific names precede general ones.
# NVIDIA: data sheet of each GPU, halved if it is for sparse matrices, and the white papers of Ampere GA102 and Ada;
# "tf32" of a Volta or Turing is its fp32. AMD: data sheets of Instinct accelerators (matrix cores); an MI250 is two
# devices, each with half of its peak. None = the device does not support this arithmetic.
_TABLE: tuple[tuple[str, float, float | None, float | None, float], ...] = (
    # name, fp32, tf32, bf16, fp16
    ("B200", 75.0, 1125.0, 2250.0, 2250.0),
    ("GH200", 66.9, 494.7, 989.4, 989.4),
    ("H200 NVL", 60.0, 417.5, 835.5, 835.5),
    ("H200", 66.9, 494.7, 989.4, 989.4),
    ("H100 NVL", 60.0, 417.5, 835.5, 835.5),
    ("H100 PCIe", 51.2, 378.0, 756.0, 756.0),
    ("H100", 66.9, 494.7, 989.4, 989.4),
    ("A100", 19.5, 156.0, 312.0, 312.0),
    ("A40", 37.4, 74.8, 149.7, 149.7),
    ("A30", 10.3, 82.0, 165.0, 165.0),
    ("A10", 31.2, 62.5, 125.0, 125.0),
    ("L40S", 91.6, 183.0, 362.0, 362.0),
    ("L40", 90.5, 90.5, 181.0, 181.0),
    ("L4", 30.3, 60.0, 121.0, 121.0),
    ("V100S", 16.4, None, None, 130.0),
    ("V100-PCIE", 14.0, None, None, 112.0),
    ("V100", 15.7, None, None, 125.0),
    ("T4", 8.1, None, None, 65.0),
    ("RTX A6000", 38.7, 77.4, 154.8, 154.8),
    ("RTX 4090", 82.6, 82.6, 165.2, 165.2),
    ("RTX 4080", 48.7, 48.7, 97.5, 97.5),
    ("RTX 3090", 35.6, 35.6, 71.0, 71.0),
    ("MI325X", 163.4, 653.7, 1307.4, 1307.4),
    ("MI300X", 163.4, 653.7, 1307.4, 1307.4),
    ("MI300A", 122.6, 490.3, 980.6, 980.6),
    ("MI250X", 47.9, None, 191.5, 191.5),
    ("MI250", 45.3, None, 181.0, 181.0),
    ("MI210", 45.3, None, 181.0, 181.0),
    ("MI100", 46.1, None, 92.3, 184.6),
)


@dataclass(frozen=True)
class PeakFlops:
    """Peak floating-point operations per second of one device in one precision, and the source of the number."""

    flops: float
    precision: str
    source: str

    def describe(self) -> str:
        """Return a text such as ``989 TFLOPS in bf16 (data sheet of H100)``."""
        return f"{self.flops / TERA:.3g} TFLOPS in {self.precision} ({self.source})"


def device_peak(device: torch.device, precision: str) -> PeakFlops:
    """Return the peak of a device in a precision.

    Args:
        precision: as `Precision.name`: "none", "bf16" or "fp16"; "none" is tf32 if it is switched on.
    """
    kind = precision
    if precision == "none":
        kind = "tf32" if device.type == "cuda" and torch.get_float32_matmul_precision() != "highest" else "fp32"
    if device.type == "cuda" and (known := datasheet_peak(torch.cuda.get_device_name(device), kind)):
        return known
    return PeakFlops(measure_flops(device, _TYPES[kind]), kind, "measured matrix-product peak")


def datasheet_peak(name: str, precision: str) -> PeakFlops | None:
    """Return the peak of a GPU by its PyTorch name, or None if it is not in the table."""
    words = name.replace("NVIDIA", "").replace("_", " ")
    for model, *values in _TABLE:
        peaks = dict(zip(("fp32", "tf32", "bf16", "fp16"), values, strict=True))
        if _names(words, model):
            kind = "fp32" if precision == "tf32" and peaks["tf32"] is None else precision
            value = peaks[kind]
            return None if value is None else PeakFlops(TERA * value, kind, f"data sheet of {model}")
    return None


def _names(words: str, model: str) -> bool:
    """Return whether the name contains the model as a whole word: an L40 is not an L4, and an A100 not an A10."""
    position = f" {words} ".find(f" {model}")
    after = f" {words} "[position + 1 + len(model) :]
    return position >= 0 and not after[:1].isalnum()


@torch.no_grad()
def measure_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the operations per second of a matrix product.

    The fastest of all repetitions within 0.2 s, since other programs may be running. Draws no random numbers, so it
    does not change a run.
    """
    size = 512 if device.type == "cpu" else 4096
    values = torch.linspace(-1.0, 1.0, size, device=device).to(dtype)
    a, b = values.repeat(size, 1), values[:, None].repeat(1, size)
    seconds: list[float] = []
    ends = 0.0
    while time.perf_counter() < ends or len(seconds) < 3:
        started = time.perf_counter()
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
        if len(seconds) == 1:
            ends = time.perf_counter() + SECONDS_OF_MEASUREMENT  # the first one loads the library
    return 2.0 * size**3 / min(seconds)

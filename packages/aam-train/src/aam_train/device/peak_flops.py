"""How many operations a device can do at most: from the maker's data sheet, or measured where there is none."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

TERA = 1e12
SECONDS_OF_MEASURING = 0.2
_TYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

# Dense matrix products in 10^12 operations a second: fp32, tf32, bf16 (fp16 where bf16 is missing), accumulated in
# float32. The first part of a device's name that fits counts, so the particular come before the general.
# NVIDIA: data sheets of each GPU, halved where they are for sparse matrices, and the white papers of Ampere GA102 and
# Ada; "tf32" of a Volta or Turing is its fp32. AMD: data sheets of Instinct accelerators (matrix cores); an MI250 is
# two devices, each with half of it. None = the device has no such arithmetic.
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
    """Most operations a second of one device in one precision, and where the figure comes from."""

    flops: float
    precision: str
    source: str

    def describe(self) -> str:
        return f"{self.flops / TERA:.3g} TFLOPS in {self.precision} ({self.source})"


def device_peak(device: torch.device, precision: str) -> PeakFlops:
    """Of this device.

    Args:
        precision: as `Precision.name`: "none", "bf16" or "fp16"; "none" is tf32 where it is switched on.
    """
    kind = precision
    if precision == "none":
        kind = "tf32" if device.type == "cuda" and torch.get_float32_matmul_precision() != "highest" else "fp32"
    if device.type == "cuda" and (known := datasheet_peak(torch.cuda.get_device_name(device), kind)):
        return known
    return PeakFlops(measure_flops(device, _TYPES[kind]), kind, "measured matrix-product peak")


def datasheet_peak(name: str, precision: str) -> PeakFlops | None:
    """Of a GPU by its name, as PyTorch gives it; None where it is not in the table."""
    words = name.replace("NVIDIA", "").replace("_", " ")
    for model, *values in _TABLE:
        found = dict(zip(("fp32", "tf32", "bf16", "fp16"), values, strict=True))
        if _names(words, model):
            kind = "fp32" if precision == "tf32" and found["tf32"] is None else precision
            value = found[kind]
            return None if value is None else PeakFlops(TERA * value, kind, f"data sheet of {model}")
    return None


def _names(words: str, model: str) -> bool:
    """Whether the model stands in the name as a whole: an L40 is no L4, and an A100 no A10."""
    place = f" {words} ".find(f" {model}")
    after = f" {words} "[place + 1 + len(model) :]
    return place >= 0 and not after[:1].isalnum()


@torch.no_grad()
def measure_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a matrix product: the fastest of as many as fit into a fifth of a second, since others may
    be at work on this machine.

    Draws no random number, so that a run with it is the same run.
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
            ends = time.perf_counter() + SECONDS_OF_MEASURING  # the first one loads the library
    return 2.0 * size**3 / min(seconds)

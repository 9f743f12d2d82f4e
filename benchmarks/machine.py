"""The part of every benchmark report that describes the machine."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[2] / "shared" / "data"


def machine() -> dict[str, Any]:
    """Return versions and hardware."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    packages = ("torch", "numpy", "scikit-learn", "aam-data", "aam-models", "aam-train")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def finish(report: dict[str, Any], path: Path | None) -> None:
    """Add the machine and write the report as JSON if a path was passed."""
    if path is not None:
        path.write_text(json.dumps({**report, "machine": machine()}, indent=1) + "\n", encoding="utf-8")

"""Versions of the software that made a model."""

from __future__ import annotations

import platform
from importlib.metadata import version


def versions() -> dict[str, str]:
    """Return the versions of AAM, Python and torch."""
    return {name: version(name) for name in ("aam-data", "aam-models", "aam-train", "torch")} | {
        "python": platform.python_version()
    }

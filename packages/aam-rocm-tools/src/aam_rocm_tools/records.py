"""JSON records with a format number, as AAM and ``aam-rocm profile`` write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")
_FORMAT = 1
_NOT_SUCH = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


def read_record(path: Path, kind: str, build: Callable[[Any], _T], error_class: type[ValueError]) -> _T:
    """Read a JSON file and build an object from its content.

    Args:
        path: the file.
        kind: what the file should be, for messages.
        build: makes the object; it may raise KeyError, TypeError, AttributeError, ValueError or OverflowError on
            other content.
        error_class: the error to raise.

    Raises:
        error_class: the file is not of this kind, or of a newer format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise error_class(f"{path}: has format {content['format']}; a newer aam-rocm-tools is needed")
        return build(content)
    except error_class:
        raise
    except _NOT_SUCH as error:
        raise error_class(f"{path}: not a {kind} ({type(error).__name__}: {error})") from error

"""Model configurations as JSON, read back strictly: unknown, missing and mistyped keys are refused."""

from __future__ import annotations

import dataclasses
import json
import math
from reprlib import repr as short
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from aam_models.config.encoder import EncoderConfig
from aam_models.config.predictor import PredictorConfig
from aam_models.errors import ModelError, first_few
from aam_models.storage.migrations import MIGRATIONS, migrate

FORMAT_VERSION = 4
KINDS: dict[str, type] = {"encoder": EncoderConfig, "predictor": PredictorConfig}
LARGEST_INTEGER = 2**53  # in a float field: what a float holds exactly
_C = TypeVar("_C")


def config_to_json(config: EncoderConfig | PredictorConfig) -> str:
    """The text of ``config.json``."""
    kind = next(name for name, cls in KINDS.items() if isinstance(config, cls))
    content = {"format_version": FORMAT_VERSION, "kind": kind, "model": dataclasses.asdict(config)}
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def config_from_json(text: str, file: str) -> EncoderConfig | PredictorConfig:
    """Read ``config.json``; ``file`` is named in errors.

    Raises:
        ModelError: when the text is not a configuration that this version of AAM writes.
    """
    content = strict_json(text, file)
    if not isinstance(content, dict) or "format_version" not in content:
        raise ModelError(f"{file}: not an AAM model configuration")
    version = content["format_version"]  # looked at first: a newer format may have other keys
    if type(version) is not int or version < 1:
        raise ModelError(f"{file}: {short(version)} is not a format version")
    if version > FORMAT_VERSION:
        raise ModelError(
            f"{file}: format version {version} is newer than this program reads ({FORMAT_VERSION}). "
            "Update AAM: pip install -U aam-cli"
        )
    if set(content) != {"format_version", "kind", "model"}:
        raise ModelError(f"{file}: not an AAM model configuration")
    content = migrate(content, version, MIGRATIONS, file)
    kind = content["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise ModelError(f"{file}: unknown kind of model {short(kind)}")
    config: object = _read(KINDS[kind], content["model"], f"{file}: model")
    assert isinstance(config, EncoderConfig | PredictorConfig)
    return config


def strict_json(text: str, file: str) -> Any:
    """JSON without duplicate keys, NaN or infinities; ``file`` is named in errors."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key, value in items:
            if key in content:
                raise ModelError(f"{file}: a key stands twice: {key!r}")
            content[key] = value
        return content

    def constant(name: str) -> Any:
        raise ModelError(f"{file}: {name} is not allowed")

    def number(digits: str) -> float:
        value = float(digits)
        if math.isinf(value):
            raise ModelError(f"{file}: {digits} is too large")
        return value

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=number)
    except ModelError:
        raise
    except (ValueError, RecursionError) as error:  # ValueError: also of integers with thousands of digits
        raise ModelError(f"{file}: not valid JSON ({error})") from error


def _read(cls: type[_C], data: Any, place: str) -> _C:
    if not isinstance(data, dict):
        raise ModelError(f"{place}: expected a JSON object, got {short(data)}")
    hints = get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    if missing := [name for name in names if name not in data]:
        raise ModelError(f"{place}: missing keys: {first_few(missing)}")
    if unknown := [key for key in data if key not in names]:
        raise ModelError(f"{place}: unknown keys: {first_few(unknown)}")
    values = {name: _value(hints[name], data[name], f"{place}.{name}") for name in names}
    try:
        return cls(**values)
    except ModelError as error:
        raise ModelError(f"{place}: {error}") from error


def _value(kind: Any, value: Any, place: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _read(kind, value, place)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ModelError(f"{place}: expected a list, got {short(value)}")
        return tuple(_value(get_args(kind)[0], item, place) for item in value)
    if kind is float and type(value) is int and abs(value) <= LARGEST_INTEGER:
        return float(value)
    if type(value) is not kind:  # not isinstance: a bool is no number
        raise ModelError(f"{place}: expected {kind.__name__}, got {short(value)}")
    return value

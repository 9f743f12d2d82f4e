"""Model configurations as JSON, read back strictly: unknown, missing and mistyped keys are refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from aam_models.config import EncoderConfig, PredictorConfig
from aam_models.errors import ModelError

FORMAT_VERSION = 1
KINDS: dict[str, type] = {"encoder": EncoderConfig, "predictor": PredictorConfig}
_C = TypeVar("_C")


def config_to_json(config: EncoderConfig | PredictorConfig) -> str:
    """The text of ``config.json``."""
    kind = next(name for name, cls in KINDS.items() if isinstance(config, cls))
    content = {"format_version": FORMAT_VERSION, "kind": kind, "model": dataclasses.asdict(config)}
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def config_from_json(text: str, file: str) -> EncoderConfig | PredictorConfig:
    """Read ``config.json``; ``file`` is named in errors."""
    content = strict_json(text, file)
    if not isinstance(content, dict) or set(content) != {"format_version", "kind", "model"}:
        raise ModelError(f"{file}: not an AAM model configuration")
    version = content["format_version"]
    if type(version) is not int or version > FORMAT_VERSION:
        raise ModelError(
            f"{file}: format version {version!r} is newer than this program reads ({FORMAT_VERSION}). "
            "Update AAM: pip install -U aam-cli"
        )
    if content["kind"] not in KINDS:
        raise ModelError(f"{file}: unknown kind of model {content['kind']!r}")
    config: object = _read(KINDS[content["kind"]], content["model"], f"{file}: model")
    assert isinstance(config, EncoderConfig | PredictorConfig)
    return config


def strict_json(text: str, file: str) -> Any:
    """JSON without duplicate keys, NaN or infinities."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in items]
        if len(set(keys)) != len(keys):
            raise ModelError(f"{file}: a key stands twice: {next(k for k in keys if keys.count(k) > 1)!r}")
        return dict(items)

    def constant(name: str) -> Any:
        raise ModelError(f"{file}: {name} is not allowed")

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ModelError(f"{file}: not valid JSON ({error})") from error


def _read(cls: type[_C], data: Any, place: str) -> _C:
    if not isinstance(data, dict):
        raise ModelError(f"{place}: expected a JSON object")
    hints = get_type_hints(cls)
    names = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if wrong := sorted(set(data) ^ names):
        raise ModelError(f"{place}: unknown or missing keys: {', '.join(wrong[:5])}")
    return cls(**{name: _value(hints[name], data[name], f"{place}.{name}") for name in names})


def _value(kind: Any, value: Any, place: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _read(kind, value, place)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ModelError(f"{place}: expected a list")
        return tuple(_value(get_args(kind)[0], item, place) for item in value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ModelError(f"{place}: expected {kind.__name__}, got {value!r}")
    return value

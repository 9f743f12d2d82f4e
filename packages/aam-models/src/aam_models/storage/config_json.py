"""Model configurations as JSON, read strictly: unknown, missing and mistyped keys are errors."""

from __future__ import annotations

import dataclasses
import json
from reprlib import repr as short
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from aam_models.config.encoder import EncoderConfig
from aam_models.config.predictor import PredictorConfig
from aam_models.errors import ModelError, first_few
from aam_models.storage.migrations import MIGRATIONS, migrate
from aam_models.storage.strict_json import parse_strict_json

FORMAT_VERSION = len(MIGRATIONS) + 1
KINDS: dict[str, type] = {"encoder": EncoderConfig, "predictor": PredictorConfig}
MAX_INTEGER = 2**53  # in a float field: larger ones are not exact
_C = TypeVar("_C")


def config_to_json(config: EncoderConfig | PredictorConfig) -> str:
    """Format a configuration as the text of ``config.json``."""
    kind = next(name for name, cls in KINDS.items() if isinstance(config, cls))
    content = {"format_version": FORMAT_VERSION, "kind": kind, "model": dataclasses.asdict(config)}
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def config_from_json(text: str, file: str) -> EncoderConfig | PredictorConfig:
    """Parse ``config.json``, of this format or an older one.

    Args:
        file: named in errors.

    Raises:
        ModelError: the text is not a configuration, or of a newer format.
    """
    content = parse_strict_json(text, file)
    if not isinstance(content, dict) or "format_version" not in content:
        raise ModelError(f"{file}: not an AAM model configuration")
    version = content["format_version"]  # checked first: a newer format may have other keys
    if type(version) is not int or version < 1:
        raise ModelError(f"{file}: {short(version)} is not a format version")
    if version > FORMAT_VERSION:
        raise ModelError(
            f"{file}: format version {version} is newer than this program can read ({FORMAT_VERSION}). "
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


def _read(cls: type[_C], data: Any, path: str) -> _C:
    if not isinstance(data, dict):
        raise ModelError(f"{path}: expected a JSON object, got {short(data)}")
    hints = get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    if missing := [name for name in names if name not in data]:
        raise ModelError(f"{path}: missing keys: {first_few(missing)}")
    if unknown := [key for key in data if key not in names]:
        raise ModelError(f"{path}: unknown keys: {first_few(unknown)}")
    values = {name: _value(hints[name], data[name], f"{path}.{name}") for name in names}
    try:
        return cls(**values)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _value(kind: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _read(kind, value, path)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ModelError(f"{path}: expected a list, got {short(value)}")
        return tuple(_value(get_args(kind)[0], item, path) for item in value)
    if kind is float and type(value) is int and abs(value) <= MAX_INTEGER:
        return float(value)
    if type(value) is not kind:  # not isinstance: a bool is not a number
        raise ModelError(f"{path}: expected {kind.__name__}, got {short(value)}")
    return value

"""Model configurations as JSON, read strictly: unknown, missing and mistyped keys are errors."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from reprlib import repr as short

from aam_models.config.encoder import EncoderConfig
from aam_models.config.predictor import PredictorConfig
from aam_models.errors import ModelError
from aam_models.storage.bounded_text import read_bounded_text
from aam_models.storage.migrations import MIGRATIONS, migrate
from aam_models.storage.strict_json import parse_strict_json
from aam_models.storage.typed_json import read_record

FORMAT_VERSION = len(MIGRATIONS) + 1
KINDS: dict[str, type] = {"encoder": EncoderConfig, "predictor": PredictorConfig}
CONFIG = "config.json"


def config_to_json(config: EncoderConfig | PredictorConfig) -> str:
    """Format a configuration as the text of ``config.json``."""
    kind = next(name for name, cls in KINDS.items() if isinstance(config, cls))
    content = {"format_version": FORMAT_VERSION, "kind": kind, "model": dataclasses.asdict(config)}
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def read_config(folder: Path) -> EncoderConfig | PredictorConfig:
    """Read the configuration of a model folder, without its weights.

    Args:
        folder: as `save_model` and `new_folder` write it.

    Returns:
        The configuration, of an encoder or a predictor.

    Raises:
        ModelError: not a model folder, or a configuration that this version cannot read.

    Example:
        >>> read_config(Path("model")).width
        64
    """
    file = folder / CONFIG
    if not file.is_file():
        raise ModelError(f"{folder}: not a model folder (it has no {CONFIG})")
    return config_from_json(read_bounded_text(file), str(file))


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
    config: object = read_record(KINDS[kind], content["model"], f"{file}: model")
    assert isinstance(config, EncoderConfig | PredictorConfig)
    return config

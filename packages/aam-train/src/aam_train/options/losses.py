"""Which loss each target has: the options, and --loss-config. Standard library only."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from aam_data.options.base import require
from aam_train.options.validate import positive

LOSSES = ("mse", "mae", "huber", "quantile", "asymmetric")
QUANTILES = (0.1, 0.5, 0.9)
_NUMBERS = ("huber_delta", "over_penalty", "under_penalty", "weight")
_BELONGS = {
    "quantiles": "quantile",
    "huber_delta": "huber",
    "over_penalty": "asymmetric",
    "under_penalty": "asymmetric",
}


@dataclass(frozen=True)
class LossSettings:
    """The loss of one numeric target.

    Attributes:
        type: one of ``LOSSES``.
        quantiles: of "quantile", ascending.
        huber_delta: of "huber", where it bends, in units of the target's transform; None = its training spread.
        over_penalty, under_penalty: of "asymmetric".
        weight: of the target among the others.
    """

    type: str = "huber"
    quantiles: tuple[float, ...] = QUANTILES
    huber_delta: float | None = None
    over_penalty: float = 1.0
    under_penalty: float = 1.0
    weight: float = 1.0

    def in_words(self) -> str:
        """Like ``quantile 0.1, 0.5, 0.9``."""
        details = {
            "quantile": f" {', '.join(f'{q:g}' for q in self.quantiles)}",
            "asymmetric": f", too high costs {self.over_penalty:g}, too low {self.under_penalty:g}",
            "huber": "" if self.huber_delta is None else f", delta {self.huber_delta:g}",
        }
        weight = "" if self.weight == 1 else f", weight {self.weight:g}"
        return f"{self.type}{details.get(self.type, '')}{weight}"

    def outputs(self) -> tuple[float, ...]:
        """The quantiles that the target's outputs are; empty for one number."""
        return self.quantiles if self.type == "quantile" else ()


def check_quantiles(flag: str, quantiles: Sequence[float]) -> None:
    """Refuse quantiles that are not ascending, not within (0, 1), or without the median. Raises ValueError."""
    text = f"{flag} {','.join(f'{q:g}' for q in quantiles)}"
    require(all(0 < q < 1 for q in quantiles), f"{text}: each must be above 0 and below 1")
    require(list(quantiles) == sorted({*quantiles}), f"{text}: must ascend, each once")
    require(0.5 in quantiles, f"{text}: 0.5 must be among them, since the median is the prediction")
    require(len(quantiles) <= 99, f"{text}: at most 99")


def loss_settings(
    columns: Sequence[str], usual: LossSettings, loss_config: str | None, given: Mapping[str, bool]
) -> tuple[LossSettings, ...]:
    """The loss of each of the columns.

    Args:
        columns: names of the targets.
        usual: what the other options say.
        loss_config: ``--loss-config``: JSON, or the file that holds it.
        given: by flag, whether the options that belong to one loss were given: some target has to have that loss.

    Raises:
        ValueError: unknown columns, losses or keys; options that belong to a loss that no target has.
    """
    entries = {} if loss_config is None else _entries(loss_config)
    index = {str(number): column for number, column in enumerate(columns)}
    found = dict.fromkeys(columns, usual)
    named: dict[str, str] = {}
    for key, entry in entries.items():
        column = key if key in columns else index.get(key)
        if column is None:
            close = get_close_matches(key, columns, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            known = ", ".join(f"{name} or {number}" for number, name in index.items())
            raise ValueError(f"--loss-config: {key!r} is no --metadata-column{hint}; known: {known}")
        require(column not in named, f"--loss-config: {key!r} and {named.get(column)!r} are the same column")
        named[column] = key
        found[column] = _entry(key, entry, usual)
    for flag, is_given in given.items():
        kind = _BELONGS[flag.removeprefix("--").replace("-", "_")]
        has = any(settings.type == kind for settings in found.values())
        others = ", ".join(dict.fromkeys(settings.type for settings in found.values()))
        require(not is_given or has, f"{flag} belongs to --loss-type {kind}, not to {others}")
    return tuple(found.values())


def is_inline(loss_config: str) -> bool:
    """Whether ``--loss-config`` is JSON itself, not a file's name."""
    return loss_config.lstrip().startswith("{")


def _entries(loss_config: str) -> dict[str, Any]:
    source = "--loss-config"
    if not is_inline(loss_config):
        source, path = f"--loss-config {loss_config}", Path(loss_config)
        try:
            loss_config = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ValueError(f"{source}: cannot be read ({reason}). Give a JSON file, or the JSON itself") from error

    def once(items: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in items]
        require(len(set(keys)) == len(keys), f"{source}: a key stands twice: {', '.join(keys)}")
        return dict(items)

    try:
        content = json.loads(loss_config, object_pairs_hook=once)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f'{source}: not valid JSON ({error}). It looks like {{"age": "mae"}}') from error
    require(isinstance(content, dict), f'{source}: must be an object, like {{"age": "mae"}}')
    return dict(content)


def _entry(key: str, entry: Any, usual: LossSettings) -> LossSettings:
    """Settings of one column: a loss's name, or an object with a type and what belongs to it."""
    place = f"--loss-config: {key!r}"
    values = {"type": entry} if isinstance(entry, str) else entry
    require(isinstance(values, dict), f"{place}: must be the name of a loss or an object")
    kind = values.get("type", usual.type)
    require(kind in LOSSES, f"{place}: unknown loss {kind!r}, known: {', '.join(LOSSES)}")
    known = {"type", *_NUMBERS, "quantiles"}
    unknown = [name for name in values if name not in known]
    require(not unknown, f"{place}: unknown keys {', '.join(unknown)}, known: {', '.join(sorted(known))}")
    for name in values:
        owner = _BELONGS.get(name, kind)
        require(owner == kind, f"{place}: {name} belongs to the loss {owner}, not to {kind}")
    for name in (name for name in _NUMBERS if name in values):
        value = values[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        require(is_number, f"{place}: {name} must be a number, got {value!r}")
        positive(f"{place}: {name}", float(value))
    if "quantiles" in values:
        quantiles = values["quantiles"]
        numbers = isinstance(quantiles, list) and all(isinstance(q, float | int) for q in quantiles)
        require(numbers, f"{place}: quantiles must be a list of numbers, got {quantiles!r}")
        quantiles = tuple(map(float, quantiles))
        check_quantiles(f"{place}: quantiles", quantiles)
        values = {**values, "quantiles": quantiles}
    floats = {name: float(values[name]) for name in _NUMBERS if name in values}
    return replace(usual, **{**values, **floats, "type": kind})


def check_class_weights(option: str) -> None:
    """Refuse what cannot be weights whatever the classes are. Raises ValueError."""
    if option != "auto":
        for part in option.split(","):
            class_weight(option, part.rpartition(":")[2])


def class_weight(option: str, text: str) -> float:
    """One weight of --class-weights. Raises ValueError for anything else."""
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight > 0):
        raise ValueError(
            f"--class-weights {option}: {text.strip()!r} is not a number above 0. Give auto, a weight for each class "
            "in the order of their labels, or name:weight"
        )
    return weight

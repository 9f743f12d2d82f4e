"""Losses of numeric targets: their table, and the settings of each target. Standard library only.

`LOSSES` is the only list of losses. A new one needs its name in `LossType`, its entry in `LOSSES`, and its function in
`aam_train.losses.regression`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from reprlib import repr as short
from typing import Any, Literal, NamedTuple, get_args

from aam_data.checked_json import parse_json
from aam_data.options.alias import choice_of
from aam_data.options.base import require
from aam_train.options.validate import MAX_NUMBER, positive, shortened

LossType = Literal["mse", "mae", "huber", "quantile", "asymmetric"]
QUANTILES = (0.1, 0.5, 0.9)
_NUMBERS = ("huber_delta", "over_penalty", "under_penalty", "weight")


@dataclass(frozen=True)
class LossSettings:
    """Settings of the loss of one numeric target.

    Attributes:
        type: a key of ``LOSSES``.
        quantiles: levels of "quantile", ascending.
        huber_delta: residual at which "huber" turns linear, in units of the target's transform; None = the standard
            deviation of the training values.
        over_penalty, under_penalty: costs of "asymmetric".
        weight: weight of the target among all targets.
    """

    type: str = "huber"
    quantiles: tuple[float, ...] = QUANTILES
    huber_delta: float | None = None
    over_penalty: float = 1.0
    under_penalty: float = 1.0
    weight: float = 1.0

    def in_words(self) -> str:
        """Return a description, such as ``quantile 0.1, 0.5, 0.9``; it is stored in ``training.json``."""
        weight = "" if self.weight == 1 else f", weight {self.weight:g}"
        return f"{self.type}{LOSSES[self.type].describe(self)}{weight}"

    def outputs(self) -> tuple[float, ...]:
        """Return the quantile levels of the target's outputs; empty for a single number."""
        return self.quantiles if LOSSES[self.type].predicts_quantiles else ()


class LossKind(NamedTuple):
    """Properties of a loss.

    Attributes:
        options: the options that only this loss reads, by their names in `LossSettings`.
        describe: returns a description of its settings.
        predicts_quantiles: whether the outputs are quantiles instead of one number.
    """

    options: tuple[str, ...] = ()
    describe: Callable[[LossSettings], str] = lambda settings: ""
    predicts_quantiles: bool = False


LOSSES = {
    "mse": LossKind(),
    "mae": LossKind(),
    "huber": LossKind(
        ("huber_delta",),
        lambda settings: "" if settings.huber_delta is None else f", delta {settings.huber_delta:g}",
    ),
    "quantile": LossKind(
        ("quantiles",),
        lambda settings: f" {', '.join(f'{q:g}' for q in settings.quantiles)}",
        predicts_quantiles=True,
    ),
    "asymmetric": LossKind(
        ("over_penalty", "under_penalty"),
        lambda settings: f", too high costs {settings.over_penalty:g}, too low {settings.under_penalty:g}",
    ),
}
_LOSS_OF_OPTION = {option: name for name, loss in LOSSES.items() for option in loss.options}
assert tuple(LOSSES) == get_args(LossType)


def check_quantiles(flag: str, quantiles: Sequence[float]) -> None:
    """Raise ValueError unless quantiles ascend, are within (0, 1) and include the median."""
    text = f"{flag} {','.join(f'{q:g}' for q in quantiles)}"
    require(all(0 < q < 1 for q in quantiles), f"{text}: each must be above 0 and below 1")
    require(list(quantiles) == sorted({*quantiles}), f"{text}: must ascend, without duplicates")
    require(0.5 in quantiles, f"{text}: must include 0.5, since the median is the prediction")
    require(len(quantiles) <= 99, f"{text}: at most 99")


def loss_settings(
    columns: Sequence[str], default: LossSettings, loss_config: str | None, given: Mapping[str, bool]
) -> tuple[LossSettings, ...]:
    """Return the loss settings of each column.

    Args:
        columns: names of the targets.
        default: settings from the other options.
        loss_config: value of ``--loss-config``: JSON, or the path of a JSON file.
        given: for the option of each loss, by flag, whether it was given; then some target must have that loss.

    Raises:
        ValueError: unknown columns, losses or keys; options of a loss that no target has.
    """
    entries = {} if loss_config is None else _entries(loss_config)
    index = {str(number): column for number, column in enumerate(columns)}
    settings = dict.fromkeys(columns, default)
    named: dict[str, str] = {}
    for key, entry in entries.items():
        column = key if key in columns else index.get(key)
        if column is None:
            close = get_close_matches(key, columns, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            known = ", ".join(f"{name} or {number}" for number, name in index.items())
            raise ValueError(f"--loss-config: {key!r} is not one of --metadata-column{hint}; choose from {known}")
        require(column not in named, f"--loss-config: {key!r} and {named.get(column)!r} are the same column")
        named[column] = key
        settings[column] = _entry(key, entry, default)
    for flag, is_given in given.items():
        kind = _LOSS_OF_OPTION[flag.removeprefix("--").replace("-", "_")]
        kinds = list(dict.fromkeys(each.type for each in settings.values()))
        require(not is_given or kind in kinds, f"{flag} only applies to --loss-type {kind} (got {', '.join(kinds)})")
    return tuple(settings.values())


def is_inline(loss_config: str) -> bool:
    """Return whether ``--loss-config`` is JSON itself, not the path of a file."""
    return loss_config.lstrip().startswith("{")


def _entries(loss_config: str) -> dict[str, Any]:
    source = "--loss-config"
    if not is_inline(loss_config):
        source, path = f"--loss-config {loss_config}", Path(loss_config)
        from aam_models.storage.bounded_text import MAX_SETTINGS, read_bounded_text

        try:
            loss_config = read_bounded_text(path, MAX_SETTINGS, through_links=True)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ValueError(f"{source}: cannot be read ({reason}). Pass a JSON file, or the JSON itself") from error

    content = parse_json(loss_config, place=source, remedy="List each column once")
    require(isinstance(content, dict), f'{source}: must be an object, like {{"age": "mae"}}')
    return dict(content)


def _entry(key: str, entry: Any, default: LossSettings) -> LossSettings:
    """Read the settings of one column: the name of a loss, or an object with a type and its options."""
    place = f"--loss-config: {key!r}"
    values: Any = {"type": entry} if isinstance(entry, str) else entry
    require(isinstance(values, dict), f"{place}: must be the name of a loss or an object")
    kind = values.get("type", default.type)
    kind = choice_of(kind, tuple(LOSSES)) or kind if isinstance(kind, str) else kind
    values = values | {"type": kind}
    require(
        isinstance(kind, str) and kind in LOSSES, f"{place}: unknown loss {kind!r}; choose from {', '.join(LOSSES)}"
    )
    known = {"type", *_NUMBERS, "quantiles"}
    unknown = [name for name in values if name not in known]
    require(not unknown, f"{place}: unknown keys {', '.join(unknown)}; choose from {', '.join(sorted(known))}")
    for name in values:
        owner = _LOSS_OF_OPTION.get(name, kind)
        require(owner == kind, f"{place}: {name} only applies to the loss {owner} (got {kind})")
    for name in (name for name in _NUMBERS if name in values):
        value = values[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        require(is_number, f"{place}: {name} must be a number, got {short(value)}")
        require(abs(value) <= MAX_NUMBER, f"{place}: {name} must be at most {MAX_NUMBER:g}, got {shortened(value)}")
        positive(f"{place}: {name}", float(value))
    if "quantiles" in values:
        quantiles = values["quantiles"]
        numbers = isinstance(quantiles, list) and all(isinstance(q, float | int) and abs(q) < 2 for q in quantiles)
        require(numbers, f"{place}: quantiles must be a list of numbers below 1, got {short(quantiles)}")
        quantiles = tuple(map(float, quantiles))
        check_quantiles(f"{place}: quantiles", quantiles)
        values = {**values, "quantiles": quantiles}
    floats = {name: float(values[name]) for name in _NUMBERS if name in values}
    return replace(default, **{**values, **floats, "type": kind})


def has_closed_form(loss: str) -> bool:
    """Return whether a linear head can be fitted in closed form instead of a loss: always by least squares.

    huber is the default, mse is the loss that ridge regression minimizes, and quantile adds an interval around its
    prediction.
    """
    return loss in ("huber", "mse", "quantile")


def is_auto(option: str) -> bool:
    """Return whether --class-weights or a like option means ``auto``, which scikit-learn calls balanced."""
    return choice_of(option, ("auto",)) is not None


def check_class_weights(option: str) -> None:
    """Raise ValueError for values that cannot be class weights, whatever the classes are."""
    if not is_auto(option):
        for part in option.split(","):
            class_weight(option, part.rpartition(":")[2])


def class_weight(option: str, text: str) -> float:
    """Read one weight of --class-weights; raise ValueError unless it is a number above 0."""
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight > 0):
        raise ValueError(
            f"--class-weights {option}: {text.strip()!r} is not a number above 0. Pass auto, a weight for each class "
            "in the order of their labels, or name:weight"
        )
    return weight

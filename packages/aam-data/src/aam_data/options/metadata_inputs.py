"""Options about metadata as input. Standard library only; see ``config`` for how an option is declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aam_data.checked_json import parse_json
from aam_data.options.base import Common, require
from aam_data.options.targets import split_columns


@dataclass(frozen=True)
class CategoryOptions:
    """Metadata as input, beside the reads."""

    categorical_columns: Common[tuple[str, ...]] = ()
    """Metadata columns, as in `location,season`, whose categories the model is given. Prediction needs them too; what
    no training sample had counts as unknown."""
    numeric_columns: Common[tuple[str, ...]] = ()
    """Metadata columns, as in `age,ph`, whose numbers the model is given, standardized on the training samples; a
    missing value is their mean, and marked as missing."""
    categorical_hierarchy: str | None = None
    """JSON like '{"city": "state", "state": "country"}': a category's embedding is added to that of its parent, so
    that rare and unseen ones lean on it. All of them are --categorical-columns."""

    categorical_loss_weights: str | None = None
    """Weights of the target's loss by category: `auto` (1 / samples of the category), `effective` (less steep, by the
    effective number of samples), or JSON like '{"oral": 2, "gut": 1}'. Scaled to a mean of 1 over training samples."""
    categorical_loss_weight_column: str | None = None
    """The metadata column of --categorical-loss-weights. Default: the one of --categorical-columns, if it is one."""

    def __post_init__(self) -> None:
        categories, numbers = self.categories(), self.numbers()
        both = [name for name in categories if name in numbers]
        require(
            not both,
            f"{', '.join(both)}: in --categorical-columns and in --numeric-columns. Leave it out of one of them",
        )
        self.parents()
        require(
            self.categorical_loss_weights is not None or self.categorical_loss_weight_column is None,
            "--categorical-loss-weight-column says whose categories --categorical-loss-weights are: give both",
        )
        require(
            self.categorical_loss_weights is None or self.weight_column() is not None,
            "--categorical-loss-weights needs --categorical-loss-weight-column, unless there is one of "
            "--categorical-columns",
        )
        self.weights()

    def categories(self) -> tuple[str, ...]:
        """The categorical columns, one by one."""
        return split_columns("--categorical-columns", self.categorical_columns)

    def numbers(self) -> tuple[str, ...]:
        """The numeric columns, one by one."""
        return split_columns("--numeric-columns", self.numeric_columns)

    def weight_column(self) -> str | None:
        """The column of the loss weights: as given, else the only categorical one; None where neither says it."""
        categories = self.categories()
        return self.categorical_loss_weight_column or (categories[0] if len(categories) == 1 else None)

    def weights(self) -> str | dict[str, float] | None:
        """ "auto", "effective", or the weight of each category that is named; None without any. Raises ValueError."""
        flag, given = "--categorical-loss-weights", self.categorical_loss_weights
        if given in (None, "auto", "effective"):
            return given
        assert given is not None
        require(given.lstrip().startswith("{"), f"{flag} {given}: must be auto, effective or JSON like {{...}}")
        found = json_object(flag, given)
        numbers = all(type(value) in (int, float) and 0 < value < 1e6 for value in found.values())
        require(numbers and bool(found), f"{flag} {given}: each category has a number above 0 and below 1e6")
        return {name: float(value) for name, value in found.items()}

    def parents(self) -> dict[str, str]:
        """The parent of each column that has one. Raises ValueError for what is no hierarchy of the columns."""
        if self.categorical_hierarchy is None:
            return {}
        flag, columns = "--categorical-hierarchy", self.categories()
        found = json_object(flag, self.categorical_hierarchy)
        texts = all(isinstance(parent, str) for parent in found.values())
        require(texts and bool(found), f"{flag} {self.categorical_hierarchy}: give names of columns, child and parent")
        absent = [name for pair in found.items() for name in pair if name not in columns]
        require(
            not absent,
            f"{flag} names {', '.join(dict.fromkeys(absent))}: add it to --categorical-columns",
        )
        for start in found:
            name, way = start, [start]
            while name in found:
                name = found[name]
                way.append(name)
                require(name != start, f"{flag} goes round in a circle: {' -> '.join(way)}")
                if len(way) > len(found) + 1:
                    break  # a circle further up, found from one of its own columns
        return found


def json_object(flag: str, text: str) -> dict[str, Any]:
    """Parse the JSON object passed to an option; a ValueError names the flag."""
    value = parse_json(text, place=f"{flag} {text}")
    require(isinstance(value, dict), f"{flag} {text}: not a JSON object like {{...}}")
    assert isinstance(value, dict)
    return value

"""Options of metadata as model input. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aam_data.checked_json import parse_json
from aam_data.options.base import Common, require
from aam_data.options.targets import split_columns


@dataclass(frozen=True)
class CategoryOptions:
    """Metadata as model input, in addition to the reads."""

    categorical_columns: Common[tuple[str, ...]] = ()
    """Metadata columns, as in `location,season`, whose categories are model input. Prediction needs them too;
    categories without training samples count as unknown."""
    numeric_columns: Common[tuple[str, ...]] = ()
    """Metadata columns, as in `age,ph`, whose numbers are model input, standardized on the training samples; missing
    values are set to the mean and marked as missing."""
    categorical_hierarchy: str | None = None
    """JSON like '{"city": "state", "state": "country"}': a category's embedding is added to that of its parent, so
    that rare and unseen categories fall back on it. All must be among --categorical-columns."""

    categorical_loss_weights: str | None = None
    """Weights of the target's loss by category: `auto` (1 / samples of the category), `effective` (less steep, by the
    effective number of samples), or JSON like '{"oral": 2, "gut": 1}'. Scaled to a mean of 1 over training samples."""
    categorical_loss_weight_column: str | None = None
    """The metadata column of --categorical-loss-weights. Default: --categorical-columns, if that is a single column."""

    def __post_init__(self) -> None:
        categories, numbers = self.categories(), self.numbers()
        both = [name for name in categories if name in numbers]
        require(
            not both,
            f"{', '.join(both)}: in both --categorical-columns and --numeric-columns; leave it out of one of them",
        )
        self.parents()
        require(
            self.categorical_loss_weights is not None or self.categorical_loss_weight_column is None,
            "--categorical-loss-weight-column only applies to --categorical-loss-weights; pass both",
        )
        require(
            self.categorical_loss_weights is None or self.weight_column() is not None,
            "--categorical-loss-weights needs --categorical-loss-weight-column, unless --categorical-columns is a "
            "single column",
        )
        self.weights()

    def categories(self) -> tuple[str, ...]:
        """Return the names of the categorical columns."""
        return split_columns("--categorical-columns", self.categorical_columns)

    def numbers(self) -> tuple[str, ...]:
        """Return the names of the numeric columns."""
        return split_columns("--numeric-columns", self.numeric_columns)

    def weight_column(self) -> str | None:
        """Return the column of the loss weights: as passed, else the only categorical column, else None."""
        categories = self.categories()
        return self.categorical_loss_weight_column or (categories[0] if len(categories) == 1 else None)

    def weights(self) -> str | dict[str, float] | None:
        """Return "auto", "effective", or weights by category; None without loss weights.

        Raises:
            ValueError: the option is neither of the words nor a JSON object of numbers.
        """
        flag, text = "--categorical-loss-weights", self.categorical_loss_weights
        if text in (None, "auto", "effective"):
            return text
        assert text is not None
        require(text.lstrip().startswith("{"), f"{flag} {text}: must be auto, effective or JSON like {{...}}")
        weights = json_object(flag, text)
        numbers = all(type(value) in (int, float) and 0 < value < 1e6 for value in weights.values())
        require(numbers and bool(weights), f"{flag} {text}: each weight must be a number above 0 and below 1e6")
        return {name: float(value) for name, value in weights.items()}

    def parents(self) -> dict[str, str]:
        """Return the parent of each column that has one.

        Raises:
            ValueError: the option is not a hierarchy of ``--categorical-columns``.
        """
        if self.categorical_hierarchy is None:
            return {}
        flag, columns = "--categorical-hierarchy", self.categories()
        parents = json_object(flag, self.categorical_hierarchy)
        texts = all(isinstance(parent, str) for parent in parents.values())
        require(texts and bool(parents), f"{flag} {self.categorical_hierarchy}: must map columns to their parents")
        absent = [name for pair in parents.items() for name in pair if name not in columns]
        require(
            not absent,
            f"{flag} names {', '.join(dict.fromkeys(absent))}; add it to --categorical-columns",
        )
        for start in parents:
            name, path = start, [start]
            while name in parents:
                name = parents[name]
                path.append(name)
                require(name != start, f"{flag} contains a cycle: {' -> '.join(path)}")
                if len(path) > len(parents) + 1:
                    break  # a cycle above this column, reported for one of its own columns
        return parents


def json_object(flag: str, text: str) -> dict[str, Any]:
    """Parse the JSON object passed to an option; a ValueError names the flag."""
    value = parse_json(text, place=f"{flag} {text}")
    require(isinstance(value, dict), f"{flag} {text}: not a JSON object like {{...}}")
    assert isinstance(value, dict)
    return value

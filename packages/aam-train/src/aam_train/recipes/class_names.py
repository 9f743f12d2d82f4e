"""Names of classes in messages: lists of bounded length, and spellings under which names would be equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from aam_data.errors import first_few
from aam_data.readers.delimited import is_finite_number
from aam_data.study.study import Study
from aam_train.evaluation.predictions import Predictions

MAX_CHARACTERS = 30  # of a name in a message


def listed(names: Sequence[str]) -> str:
    """Return the first names, quoted and cut, and the number of the others."""
    return first_few([repr(_cut(name)) for name in names])


def matching_hint(unknown: Sequence[str], known: Sequence[str]) -> str | None:
    """Return under which spelling unknown names would be known ones; None if there is no such spelling."""
    for what, spelling in _SPELLINGS.items():
        by_spelling = {spelling(name): name for name in known}
        pairs = [(name, by_spelling[spelling(name)]) for name in unknown if spelling(name) in by_spelling]
        if pairs:
            new, old = (repr(_cut(name)) for name in pairs[0])
            return (
                f"{len(pairs):,} of {len(unknown):,} classes would match ignoring {what} (as in {new} and {old}). "
                "Write them as in training"
            )
    return None


def unknown_classes(study: Study, predictions: Predictions, rows: np.ndarray) -> str | None:
    """Return a warning when samples have a class that the model does not know: they are predicted, not evaluated."""
    if not predictions.classes:
        return None
    assert study.metadata is not None
    texts = study.metadata.text(predictions.names[0])[rows]
    unknown = Counter(text for text in texts if text is not None and text not in predictions.classes)
    if not unknown:
        return None
    shown = first_few([f"{name}: {n:,}" for name, n in sorted(unknown.items())])
    hint = matching_hint(list(unknown), predictions.classes)
    return (
        f"warning: {unknown.total():,} samples have classes that the model does not know and are not evaluated: {shown}"
        f"{f'. {hint}' if hint else ''}"
    )


def _cut(name: str) -> str:
    return name if len(name) <= MAX_CHARACTERS else f"{name[: MAX_CHARACTERS - 3]}..."


def _without_blanks(name: str) -> str:
    return "".join(name.split())


def _as_number(name: str) -> str:
    return f"{float(name):g}" if is_finite_number(name) else name


_SPELLINGS: dict[str, Callable[[str], str]] = {
    "case": str.casefold,
    "blanks": _without_blanks,
    "the spelling of numbers": _as_number,
    "case and blanks": lambda name: _without_blanks(name).casefold(),
    "case, blanks, - and _": lambda name: _without_blanks(name).casefold().replace("-", "").replace("_", ""),
}

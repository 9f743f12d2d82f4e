"""Which scale numeric targets get, in the spellings of today and of older scripts. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TargetScale:
    """A scale of numeric targets.

    Attributes:
        kind: a key of ``transforms.TRANSFORMS``.
        by: columns whose categories have a scale each; empty for one scale of all samples.
    """

    kind: str
    by: tuple[str, ...] = ()

    def flags(self) -> str:
        """The options that say so."""
        kind = "zscore-category" if self.by and self.kind == "zscore" else self.kind
        return f"--target-transform {kind}" + (f" --normalize-by {','.join(self.by)}" if self.by else "")


def target_scale(
    transform: str | None,
    normalize_by: tuple[str, ...],
    normalize_targets: bool | None,
    normalize_targets_by: tuple[str, ...],
    log_transform_targets: bool,
) -> TargetScale:
    """What the options of these names ask for.

    Args:
        transform: ``--target-transform``.
        normalize_by: names of columns, one by one or with commas between them.
        normalize_targets, normalize_targets_by, log_transform_targets: the older spellings.

    Raises:
        ValueError: options that contradict each other, naming both.
    """
    by_flag = "--normalize-targets-by" if normalize_targets_by else "--normalize-by"
    if normalize_by and normalize_targets_by:
        raise ValueError("--normalize-targets-by is the older spelling of --normalize-by: give one of them")
    by = split_columns(by_flag, normalize_by or normalize_targets_by)
    flag, kind = f"--target-transform {transform}", transform
    older = (
        ("--no-normalize-targets", normalize_targets is False, "none"),
        ("--log-transform-targets", log_transform_targets, "log-zscore" if by else "log-minmax"),
        # beside the others it only repeats that there is a scale
        ("--normalize-targets", normalize_targets and not by and not log_transform_targets, "minmax"),
    )
    for spelling, given, meaning in older:
        if given and kind not in (None, meaning):
            raise ValueError(f"{spelling} is --target-transform {meaning}, which contradicts {flag}: give one of them")
        if given:
            flag, kind = spelling, meaning
    kind = kind or ("zscore-category" if by else "minmax")
    if kind == "none" and by:
        raise ValueError(f"{flag} contradicts {by_flag}: give one of them")
    if kind == "zscore-category" and not by:
        raise ValueError("--target-transform zscore-category needs --normalize-by")
    return TargetScale("zscore" if kind == "zscore-category" else kind, by)


def split_columns(flag: str, values: tuple[str, ...]) -> tuple[str, ...]:
    """Names of columns that were given one by one or with commas between them; ``flag`` is named in errors."""
    names = tuple(name.strip() for value in values for name in value.split(","))
    if not all(names):
        raise ValueError(f"{flag} {','.join(values)}: the name of a column is empty")
    if len(set(names)) < len(names):
        raise ValueError(f"{flag}: given twice: {', '.join(names)}")
    return names

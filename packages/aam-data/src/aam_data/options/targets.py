"""Options of targets, and the scale of numeric targets. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from aam_data.options.base import Common, TransformKind, require


@dataclass(frozen=True)
class TargetOptions:
    """Prediction target."""

    metadata_column: Common[tuple[str, ...]]
    """The metadata column to predict; may be repeated for several numeric targets."""
    classifier: Common[bool] = False
    """Predict classes instead of numbers."""
    target_transform: TransformKind | None = None
    """Scale of numeric targets inside the model, fitted on training samples; predictions are in the column's units.
    The log- transforms take log(1 + value) first. Default: minmax, or zscore-category with --normalize-by."""
    normalize_by: tuple[str, ...] = ()
    """Metadata columns, as in `location,season`: fit the scale within each combination of their values, or on all
    samples if a combination has fewer than 10 training samples. Prediction needs these columns too."""
    normalize_targets: bool | None = None
    """Older spelling of --target-transform minmax, and with --no- of none."""
    normalize_targets_by: tuple[str, ...] = ()
    """Older spelling of --normalize-by."""
    log_transform_targets: bool = False
    """Older spelling of --target-transform log-minmax, and with --normalize-by of log-zscore."""
    out_dim: int | None = None
    """Expected number of model outputs, checked against the data: classes, or numbers (times quantiles). Default: as
    the data require."""

    def __post_init__(self) -> None:
        require(len(self.metadata_column) > 0, "Pass --metadata-column with the column to predict")
        require(
            len(set(self.metadata_column)) == len(self.metadata_column),
            f"--metadata-column: duplicate column: {', '.join(self.metadata_column)}",
        )
        require(
            not (self.classifier and len(self.metadata_column) > 1),
            "--classifier takes one --metadata-column; train one model per class column",
        )
        require(self.out_dim is None or self.out_dim >= 1, f"--out-dim {self.out_dim}: must be 1 or more")
        scaled = self.target_transform or self.normalize_by or self.older_spellings()
        require(
            not (self.classifier and scaled),
            "--target-transform and --normalize-by only apply to numbers; leave them out with --classifier",
        )
        self.scale()

    def scale(self) -> TargetScale:
        """Return the scale that the options ask for, in either spelling. Raises ValueError for contradictions."""
        return target_scale(
            self.target_transform,
            self.normalize_by,
            self.normalize_targets,
            self.normalize_targets_by,
            self.log_transform_targets,
        )

    def older_spellings(self) -> list[str]:
        """Return the flags that were passed in an older spelling."""
        given = {
            "--normalize-targets": self.normalize_targets is True,
            "--no-normalize-targets": self.normalize_targets is False,
            "--normalize-targets-by": bool(self.normalize_targets_by),
            "--log-transform-targets": self.log_transform_targets,
        }
        return [flag for flag, is_given in given.items() if is_given]


@dataclass(frozen=True)
class TargetScale:
    """A scale of numeric targets.

    Attributes:
        kind: a key of ``transforms.TRANSFORMS``.
        by: columns whose combinations of values have one scale each; empty for one scale of all samples.
    """

    kind: str
    by: tuple[str, ...] = ()

    def flags(self) -> str:
        """Return the options that select this scale."""
        kind = "zscore-category" if self.by and self.kind == "zscore" else self.kind
        return f"--target-transform {kind}" + (f" --normalize-by {','.join(self.by)}" if self.by else "")


def target_scale(
    transform: str | None,
    normalize_by: tuple[str, ...],
    normalize_targets: bool | None,
    normalize_targets_by: tuple[str, ...],
    log_transform_targets: bool,
) -> TargetScale:
    """Return the scale that the options of these names ask for.

    Args:
        transform: ``--target-transform``.
        normalize_by: names of columns, one by one or separated by commas.
        normalize_targets, normalize_targets_by, log_transform_targets: the older spellings.

    Raises:
        ValueError: options that contradict each other, naming both.
    """
    by_flag = "--normalize-targets-by" if normalize_targets_by else "--normalize-by"
    if normalize_by and normalize_targets_by:
        raise ValueError("--normalize-targets-by is the older spelling of --normalize-by; use one of them")
    by = split_columns(by_flag, normalize_by or normalize_targets_by)
    flag, kind = f"--target-transform {transform}", transform
    older = (
        ("--no-normalize-targets", normalize_targets is False, "none"),
        ("--log-transform-targets", log_transform_targets, "log-zscore" if by else "log-minmax"),
        # with the others it only repeats that there is a scale
        ("--normalize-targets", normalize_targets and not by and not log_transform_targets, "minmax"),
    )
    for spelling, given, meaning in older:
        if given and kind not in (None, meaning):
            raise ValueError(f"{spelling} is --target-transform {meaning}, which contradicts {flag}; use one of them")
        if given:
            flag, kind = spelling, meaning
    kind = kind or ("zscore-category" if by else "minmax")
    if kind == "none" and by:
        raise ValueError(f"{flag} and {by_flag} cannot be combined; use one of them")
    if kind == "zscore-category" and not by:
        raise ValueError("--target-transform zscore-category needs --normalize-by")
    return TargetScale("zscore" if kind == "zscore-category" else kind, by)


def split_columns(flag: str, values: tuple[str, ...]) -> tuple[str, ...]:
    """Split the value of an option into names of metadata columns, which commas may separate.

    Raises:
        ValueError: naming the flag, for a name that is empty or occurs twice.
    """
    names = tuple(name.strip() for value in values for name in value.split(","))
    if not all(names):
        raise ValueError(f"{flag} {','.join(values)}: the name of a column is empty")
    if twice := [name for position, name in enumerate(names) if name in names[:position]]:
        raise ValueError(f"{flag} {','.join(names)}: duplicate column: {', '.join(twice)}")
    return names

"""Rules about metadata as input that cross sections. Standard library only."""

from __future__ import annotations

from aam_data.options.base import require
from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.options.samples import SplitOptions
from aam_data.options.targets import TargetOptions
from aam_models.config.conditioning import ConditioningOptions
from aam_models.config.predictor import HeadOptions, OutputOptions


def check_columns(
    category: CategoryOptions, head: HeadOptions, output: OutputOptions, target: TargetOptions, split: SplitOptions
) -> None:
    """Refuse inputs that tell the target, or that are unknown by construction. Raises ValueError naming both flags."""
    for flag, columns in (
        ("--categorical-columns", category.categories()),
        ("--numeric-columns", category.numbers()),
        *head.columns_by_flag().items(),
        ("--conditional-output-scaling", output.scaling_columns()),
    ):
        for name in columns:
            require(
                name not in target.metadata_column,
                f"{flag} {name}: this is what --metadata-column predicts, and the model would copy it. Leave it out",
            )
            require(
                name != split.group_column,
                f"{flag} {name}: it is the --group-column, so that validation and test samples are of groups that no "
                "training sample has. Leave it out of one of them",
            )


def check_needed(
    category: CategoryOptions,
    conditioning: ConditioningOptions,
    categorical_lr: float | None,
    embedded: tuple[str, ...],
) -> None:
    """Refuse options that would do nothing. Raises ValueError naming them.

    Args:
        embedded: categorical columns that fusion or head reads as vectors.
    """
    fused, default = bool(category.categories() or category.numbers()), ConditioningOptions()
    require(
        fused or conditioning.categorical_fusion == default.categorical_fusion,
        f"--categorical-fusion {conditioning.categorical_fusion} has nothing to fuse: give --categorical-columns or "
        "--numeric-columns",
    )
    require(
        bool(embedded) or conditioning.categorical_embed_dim == default.categorical_embed_dim,
        f"--categorical-embed-dim {conditioning.categorical_embed_dim} has nothing to embed: give "
        "--categorical-columns",
    )
    require(
        fused or bool(embedded) or categorical_lr is None,
        f"--categorical-lr {categorical_lr} has nothing to learn: give --categorical-columns or --numeric-columns",
    )

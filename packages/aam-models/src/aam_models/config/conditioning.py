"""Metadata as input of a predictor: options, and what a model folder stores of it. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from aam_models.config.limits import (
    MAX_CATEGORIES,
    MAX_COLUMNS,
    MAX_LATENTS,
    MAX_LAYERS,
    MAX_WIDTH,
    Common,
    require,
)

FusionKind = Literal["concat", "add", "gmu", "cross-attention", "perceiver"]
# The options that only one kind of fusion has.
FUSION_OPTIONS: dict[FusionKind, tuple[str, ...]] = {
    "cross-attention": ("cross_attn_heads",),
    "perceiver": ("perceiver_num_latents", "perceiver_num_layers"),
}


@dataclass(frozen=True)
class ConditioningOptions:
    """How metadata enter the model."""

    categorical_embed_dim: int = 16
    """Width of the embedding of a category."""
    categorical_fusion: Common[FusionKind] = "concat"
    """How --categorical-columns and --numeric-columns are combined with the sample's embedding: concatenated and mapped
    back to its width (concat), added (add), by a gate between the two (gmu), by attention of the sample over them
    (cross-attention), or by latent vectors that attend to sample and metadata (perceiver).
    `aam train --categorical-help` explains how to choose."""
    cross_attn_heads: int = 8
    """Attention heads of cross-attention."""
    perceiver_num_latents: int = 64
    """Latent vectors of the perceiver."""
    perceiver_num_layers: int = 2
    """Layers of the perceiver; in each, the latents read the inputs and then each other."""

    def __post_init__(self) -> None:
        for flag, value, limit in (
            ("--categorical-embed-dim", self.categorical_embed_dim, MAX_WIDTH),
            ("--cross-attn-heads", self.cross_attn_heads, MAX_WIDTH),
            ("--perceiver-num-latents", self.perceiver_num_latents, MAX_LATENTS),
            ("--perceiver-num-layers", self.perceiver_num_layers, MAX_LAYERS),
        ):
            require(1 <= value <= limit, f"{flag} {value}: must be between 1 and {limit:,}")
        for kind, names in FUSION_OPTIONS.items():
            for name in names:
                require(
                    getattr(self, name) == getattr(ConditioningOptions, name) or self.categorical_fusion == kind,
                    f"--{name.replace('_', '-')} only applies to --categorical-fusion {kind} "
                    f"(got {self.categorical_fusion})",
                )


@dataclass(frozen=True)
class CategoryConfig:
    """One categorical column.

    Attributes:
        size: number of codes; 0 is the unknown category, 1 to size - 1 are those of the training samples.
        fused: whether the fusion reads it; otherwise a head or a link that names it does.
        parent: index of the column whose embedding is added to this one's; -1 = none.
        parent_codes: code of the parent for each code, 0 where it is unknown; empty without a parent.
        embedded: whether its categories have vectors. Columns that only a link reads, by their codes, have none.
    """

    size: int
    fused: bool = True
    parent: int = -1
    parent_codes: tuple[int, ...] = ()
    embedded: bool = True

    def __post_init__(self) -> None:
        require(
            1 <= self.size <= MAX_CATEGORIES,
            f"a category column of {self.size} codes: must be 1 to {MAX_CATEGORIES:,}",
        )
        require(
            len(self.parent_codes) == (self.size if self.parent >= 0 else 0),
            f"{len(self.parent_codes)} parent_codes for {self.size} codes with parent {self.parent}",
        )
        require(self.embedded or not self.fused, "a fused category column must be embedded")


@dataclass(frozen=True)
class FusionConfig:
    """The module that combines conditions and sample embedding.

    Attributes:
        kind: a `FusionKind`, "none", or "head" if the head reads the metadata itself.
        heads: attention heads of cross-attention.
        latents, layers: size of the perceiver.
    """

    kind: str = "none"
    heads: int = 8
    latents: int = 64
    layers: int = 2

    def __post_init__(self) -> None:
        kinds = ("none", "head", *get_args(FusionKind))
        require(self.kind in kinds, f"fusion {self.kind!r}: must be one of {', '.join(kinds)}")
        for name, value, limit in (
            ("heads", self.heads, MAX_WIDTH),
            ("latents", self.latents, MAX_LATENTS),
            ("layers", self.layers, MAX_LAYERS),
        ):
            require(1 <= value <= limit, f"fusion {name} {value}: must be 1 to {limit:,}")


@dataclass(frozen=True)
class ConditioningConfig:
    """The metadata that a predictor reads.

    Attributes:
        categories: C categorical columns, in the order of ``Batch.categories``.
        covariates: K numeric columns; ``Batch.covariates`` has 2 K values, the missing flags last.
        embed_dim: E, width of a category's embedding.
        fusion: of kind "none" exactly when nothing is fused.
    """

    categories: tuple[CategoryConfig, ...] = ()
    covariates: int = 0
    embed_dim: int = 16
    fusion: FusionConfig = FusionConfig()

    def __post_init__(self) -> None:
        require(len(self.categories) <= MAX_COLUMNS, f"{len(self.categories)} categories: at most {MAX_COLUMNS:,}")
        require(0 <= self.covariates <= MAX_COLUMNS, f"{self.covariates} covariates: 0 to {MAX_COLUMNS:,}")
        require(1 <= self.embed_dim <= MAX_WIDTH, f"embed_dim {self.embed_dim}: must be 1 to {MAX_WIDTH}")
        by_head = self.fusion.kind == "head" and len(self.categories) > 0
        fuses = bool(self.fused) or self.covariates > 0 or by_head
        require(fuses or self.fusion.kind == "none", f"fusion {self.fusion.kind}: there is no metadata to fuse")
        require(not fuses or self.fusion.kind != "none", "fusion none, although there is metadata to fuse")
        for column, category in enumerate(self.categories):
            self._check_parents(column, category)

    @property
    def fused(self) -> tuple[int, ...]:
        """Indices of the columns that the fusion reads."""
        return tuple(column for column, category in enumerate(self.categories) if category.fused)

    def _check_parents(self, column: int, category: CategoryConfig) -> None:
        seen = {column}
        while category.parent >= 0:
            require(category.parent < len(self.categories), f"category {column}: there is no parent {category.parent}")
            require(category.parent not in seen, f"category {column}: its parents form a cycle")
            seen.add(category.parent)
            parent = self.categories[category.parent]
            require(parent.embedded or not category.embedded, f"category {column}: its parent has no vectors")
            codes, category = category.parent_codes, parent
            require(all(0 <= code < parent.size for code in codes), f"category {column}: parent_codes out of range")

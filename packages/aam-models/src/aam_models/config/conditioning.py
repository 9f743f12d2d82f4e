"""Metadata as input of a predictor: options, and what a model folder stores of it. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aam_models.config.limits import (
    LARGEST_WIDTH,
    MOST_CATEGORIES,
    MOST_COLUMNS,
    MOST_LATENTS,
    MOST_LAYERS,
    Common,
    require,
)

FusionKind = Literal["concat", "add", "gmu", "cross-attention", "perceiver"]
FUSIONS = ("none", "concat", "add", "gmu", "cross-attention", "perceiver")


@dataclass(frozen=True)
class ConditioningOptions:
    """How metadata enter the model."""

    categorical_embed_dim: int = 16
    """Width of the embedding of a category."""
    categorical_fusion: Common[FusionKind] = "concat"
    """How --categorical-columns and --numeric-columns join the sample's embedding: beside it, through one linear map
    (concat), added (add), by a gate between the two (gmu), by attention of the sample over them (cross-attention), or
    through latent vectors that attend over sample and metadata (perceiver). `aam train --categorical-help` helps."""
    cross_attn_heads: int = 8
    """cross-attention: heads."""
    perceiver_num_latents: int = 64
    """perceiver: latent vectors."""
    perceiver_num_layers: int = 2
    """perceiver: how many times the latents read the inputs and then each other."""

    def __post_init__(self) -> None:
        for flag, value, most in (
            ("--categorical-embed-dim", self.categorical_embed_dim, LARGEST_WIDTH),
            ("--cross-attn-heads", self.cross_attn_heads, LARGEST_WIDTH),
            ("--perceiver-num-latents", self.perceiver_num_latents, MOST_LATENTS),
            ("--perceiver-num-layers", self.perceiver_num_layers, MOST_LAYERS),
        ):
            require(1 <= value <= most, f"{flag} {value}: must be between 1 and {most:,}")
        for flag, name, default, kind in _ONLY_OF:
            require(
                getattr(self, name) == default or self.categorical_fusion == kind,
                f"{flag} belongs to --categorical-fusion {kind}, not to {self.categorical_fusion}: leave one out",
            )


_ONLY_OF = (
    ("--cross-attn-heads", "cross_attn_heads", 8, "cross-attention"),
    ("--perceiver-num-latents", "perceiver_num_latents", 64, "perceiver"),
    ("--perceiver-num-layers", "perceiver_num_layers", 2, "perceiver"),
)


@dataclass(frozen=True)
class CategoryConfig:
    """One categorical column.

    Attributes:
        size: number of codes; 0 is the unknown category, 1 to size - 1 are those of the training samples.
        fused: whether the fusion reads it; otherwise it is there for a head or a link that names it.
        parent: place of the column whose embedding is added to this one's; -1 = none.
        parent_codes: of each code the code of its parent, 0 where it is not known; empty without a parent.
        embedded: whether its categories have vectors; those that only a link reads, by their codes, have none.
    """

    size: int
    fused: bool = True
    parent: int = -1
    parent_codes: tuple[int, ...] = ()
    embedded: bool = True

    def __post_init__(self) -> None:
        require(1 <= self.size <= MOST_CATEGORIES, f"a category column of {self.size} codes: 1 to {MOST_CATEGORIES:,}")
        require(
            len(self.parent_codes) == (self.size if self.parent >= 0 else 0),
            f"{len(self.parent_codes)} parent_codes for {self.size} codes with parent {self.parent}",
        )
        require(self.embedded or not self.fused, "a category column that is fused without vectors")


@dataclass(frozen=True)
class FusionConfig:
    """How the conditions join the sample embedding.

    Attributes:
        kind: "none", "concat", "add", "gmu", "cross-attention" or "perceiver".
        heads: of cross-attention.
        latents, layers: of the perceiver.
    """

    kind: str = "none"
    heads: int = 8
    latents: int = 64
    layers: int = 2

    def __post_init__(self) -> None:
        require(self.kind in FUSIONS, f"fusion {self.kind!r}: must be one of {', '.join(FUSIONS)}")
        for name, value, most in (
            ("heads", self.heads, LARGEST_WIDTH),
            ("latents", self.latents, MOST_LATENTS),
            ("layers", self.layers, MOST_LAYERS),
        ):
            require(1 <= value <= most, f"fusion {name} {value}: must be 1 to {most:,}")


@dataclass(frozen=True)
class ConditioningConfig:
    """The metadata that a predictor reads.

    Attributes:
        categories: C categorical columns, in the order of ``Batch.categories``.
        covariates: K numeric columns; ``Batch.covariates`` has 2 K values, the missing flags last.
        embed_dim: E, width of a category's embedding.
        fusion: "none" exactly where nothing is fused.
    """

    categories: tuple[CategoryConfig, ...] = ()
    covariates: int = 0
    embed_dim: int = 16
    fusion: FusionConfig = FusionConfig()

    def __post_init__(self) -> None:
        require(len(self.categories) <= MOST_COLUMNS, f"{len(self.categories)} categories: at most {MOST_COLUMNS:,}")
        require(0 <= self.covariates <= MOST_COLUMNS, f"{self.covariates} covariates: 0 to {MOST_COLUMNS:,}")
        require(1 <= self.embed_dim <= LARGEST_WIDTH, f"embed_dim {self.embed_dim}: must be 1 to {LARGEST_WIDTH}")
        fuses = bool(self.fused) or self.covariates > 0
        require(fuses == (self.fusion.kind != "none"), f"fusion {self.fusion.kind} with nothing or something to fuse")
        for place, category in enumerate(self.categories):
            self._check_parents(place, category)

    @property
    def fused(self) -> tuple[int, ...]:
        """Places of the columns that the fusion reads."""
        return tuple(place for place, category in enumerate(self.categories) if category.fused)

    def _check_parents(self, place: int, category: CategoryConfig) -> None:
        seen = {place}
        while category.parent >= 0:
            require(category.parent < len(self.categories), f"category {place}: there is no parent {category.parent}")
            require(category.parent not in seen, f"category {place}: its parents go round in a circle")
            seen.add(category.parent)
            above = self.categories[category.parent]
            require(above.embedded or not category.embedded, f"category {place}: its parent has no vectors")
            codes, category = category.parent_codes, above
            require(all(0 <= code < category.size for code in codes), f"category {place}: parent_codes out of range")

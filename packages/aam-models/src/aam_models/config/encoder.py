"""What an encoder is made of. Standard library only.

``ModelOptions`` is what people choose on the command line; ``EncoderConfig`` is what a model folder stores and what
``build_encoder`` reads. Predictors have ``head_config``, ``conditioning_config`` and ``predictor_config``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aam_models.config.limits import (
    LARGEST_WIDTH,
    LONGEST_SEQUENCE,
    MOST_LAYERS,
    MOST_RANKS,
    MOST_TAXA,
    Common,
    require,
)


@dataclass(frozen=True)
class Size:
    """A size of encoder."""

    width: int
    heads: int
    layers: int


PRESETS = {
    "tiny": Size(width=64, heads=2, layers=2),
    "base": Size(width=128, heads=4, layers=4),
    "large": Size(width=512, heads=8, layers=8),
}


@dataclass(frozen=True)
class ModelOptions:
    """The size of the encoder."""

    preset: Common[Literal["tiny", "base", "large"] | None] = None
    """Size of the encoder: tiny (64 wide, 2 + 2 layers, for laptops), base (128, 4 + 4), large (512, 8 + 8).
    Default: base; for `aam train --pretrained-encoder`, what that is."""
    embedding_dim: int | None = None
    """Width of the embeddings; default: the preset's."""
    attention_heads: int | None = None
    """Attention heads; default: the preset's."""
    attention_layers: int | None = None
    """Layers over bases and, again, over the ASVs of a sample; default: the preset's."""
    count_embedding: bool | None = None
    """Whether the model sees how abundant each ASV is. Default: yes; for `aam train --pretrained-encoder`, as in
    that."""
    count_embedding_method: Literal["add", "concat", "film"] | None = None
    """How it sees it: added to the ASV's embedding, beside it (concat), or as a scale and a shift of it (film).
    Default: add; for `aam train --pretrained-encoder`, as in that."""
    asv_chunk_size: int = 256
    """ASVs encoded at once; 0 = all. Smaller needs less memory in prediction; training keeps what it needs of all."""

    def __post_init__(self) -> None:
        for flag, value in (
            ("--embedding-dim", self.embedding_dim),
            ("--attention-heads", self.attention_heads),
            ("--attention-layers", self.attention_layers),
        ):
            require(value is None or value >= 1, f"{flag} {value}: must be 1 or more")
        require(
            self.count_embedding is not False or self.count_embedding_method is None,
            f"--count-embedding-method {self.count_embedding_method} and --no-count-embedding exclude each other",
        )
        require(self.asv_chunk_size >= 0, f"--asv-chunk-size {self.asv_chunk_size}: must be 0 (all) or more")
        size = self.size()
        require(size.width <= LARGEST_WIDTH, f"--embedding-dim {size.width}: must be at most {LARGEST_WIDTH}")
        require(size.layers <= MOST_LAYERS, f"--attention-layers {size.layers}: must be at most {MOST_LAYERS}")
        require(
            size.width % size.heads == 0,
            f"--embedding-dim {size.width} is not a multiple of --attention-heads {size.heads}: change one",
        )

    def size(self) -> Size:
        """Width, heads and layers: what was given, else the preset's."""
        preset = PRESETS[self.preset or "base"]
        return Size(
            width=self.embedding_dim or preset.width,
            heads=self.attention_heads or preset.heads,
            layers=self.attention_layers or preset.layers,
        )


@dataclass(frozen=True)
class Alphabet:
    """Token codes, 0 to ``size - 1``. The bases are ``first_base .. first_base + n_bases - 1``.

    Codes that are none of these (ambiguous bases) are read and never predicted.
    """

    pad: int
    first_base: int
    n_bases: int
    start: int
    mask: int
    size: int

    def __post_init__(self) -> None:
        require(1 <= self.size <= 256, f"alphabet size {self.size}: must be 1 to 256, tokens are single bytes")
        require(1 <= self.n_bases <= self.size, f"{self.n_bases} bases in an alphabet of {self.size} tokens")
        codes = {self.pad, self.start, self.mask, *range(self.first_base, self.first_base + self.n_bases)}
        require(
            len(codes) == 3 + self.n_bases and min(codes) >= 0 and max(codes) < self.size,
            f"alphabet {self}: every code must be its own number from 0 to {self.size - 1}",
        )


@dataclass(frozen=True)
class EncoderConfig:
    """Everything that fixes an encoder's shapes and arithmetic.

    Attributes:
        max_bp: bases of a sequence; positions 0 (START) to max_bp have embeddings.
        width: D, of ASV and sample embeddings.
        asv_layers, sample_layers: blocks over the bases of an ASV, and over the ASVs of a sample.
        count_embedding: whether abundance is an input.
        count_embedding_method: "add", "concat" or "film".
        distance_head, faith_pd_head, nucleotide_head, count_head: which pretraining heads exist.
        taxonomy_classes: number of taxa at each rank that the taxonomy head predicts; none = no such head.
        size_embedding: whether the number of a sample's ASVs is an input; attention, a mean, does not see it.
        site_sum: whether an ASV's embedding holds the sum of its bases' site embeddings, see `AsvEncoder`.
        distance_scale: what a distance of 1 of the distance head means; 1 for metrics that are at most 1.
    """

    alphabet: Alphabet
    max_bp: int
    width: int
    heads: int
    asv_layers: int
    sample_layers: int
    count_embedding: bool = True
    distance_head: bool = True
    faith_pd_head: bool = False
    nucleotide_head: bool = True
    count_head: bool = True
    count_embedding_method: str = "add"
    taxonomy_classes: tuple[int, ...] = ()
    distance_scale: float = 1.0
    size_embedding: bool = False
    site_sum: bool = False

    def __post_init__(self) -> None:
        require(
            self.count_embedding_method in ("add", "concat", "film"),
            f"count_embedding_method {self.count_embedding_method!r}: must be add, concat or film",
        )
        require(
            len(self.taxonomy_classes) <= MOST_RANKS
            and all(1 <= classes <= MOST_TAXA for classes in self.taxonomy_classes),
            f"taxonomy_classes {self.taxonomy_classes}: at most {MOST_RANKS} ranks of 1 to {MOST_TAXA:,} taxa",
        )
        require(self.distance_scale > 0, f"distance_scale {self.distance_scale}: must be above 0")
        require(1 <= self.max_bp <= LONGEST_SEQUENCE, f"max_bp {self.max_bp}: must be 1 to {LONGEST_SEQUENCE}")
        require(1 <= self.width <= LARGEST_WIDTH, f"width {self.width}: must be 1 to {LARGEST_WIDTH}")
        require(self.heads >= 1 and self.width % self.heads == 0, f"{self.heads} heads do not divide {self.width}")
        for name, layers in (("asv_layers", self.asv_layers), ("sample_layers", self.sample_layers)):
            require(1 <= layers <= MOST_LAYERS, f"{name} {layers}: must be 1 to {MOST_LAYERS}")

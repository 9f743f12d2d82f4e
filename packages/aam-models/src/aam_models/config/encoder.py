"""Options of an encoder, and what a model folder stores of it. Standard library only.

``ModelOptions`` is what people choose on the command line; ``EncoderConfig`` is what a model folder stores and what
``build_encoder`` reads. Those of predictors are in ``conditioning``, ``predictor_options`` and ``predictor``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from aam_models.config.limits import (
    MAX_LAYERS,
    MAX_RANKS,
    MAX_SEQUENCE_LENGTH,
    MAX_TAXA,
    MAX_WIDTH,
    Common,
    Size,
    require,
    transformer_size,
)

Preset = Literal["tiny", "base", "large"]
AbundanceMethod = Literal["add", "concat", "film"]
BASES_PER_TOKEN = (1, 2, 4)


@dataclass(frozen=True)
class EncoderSize:
    """Width, attention heads and layers of an encoder; both of its levels have this many layers."""

    width: int
    heads: int
    layers: int


PRESETS: dict[Preset, EncoderSize] = {
    "tiny": EncoderSize(width=64, heads=2, layers=2),
    "base": EncoderSize(width=128, heads=4, layers=4),
    "large": EncoderSize(width=512, heads=8, layers=8),
}


@dataclass(frozen=True)
class ModelOptions:
    """The size of the encoder."""

    preset: Common[Preset | None] = None
    """Size of the encoder: tiny (64 wide, 2 + 2 layers, for laptops), base (128, 4 + 4), large (512, 8 + 8).
    Default: base; with `aam train --pretrained-encoder`, that of the encoder."""
    embedding_dim: int | None = None
    """Width of the embeddings; default: the preset's."""
    attention_heads: int | None = None
    """Attention heads; default: the preset's."""
    attention_layers: int | None = None
    """Layers over bases and, again, over the ASVs of a sample; default: the preset's."""
    count_embedding: bool | None = None
    """Whether the model sees how abundant each ASV is. Default: yes; with `aam train --pretrained-encoder`, as in the
    encoder."""
    count_embedding_method: AbundanceMethod | None = None
    """How abundance enters: added to the ASV's embedding (add), concatenated with it (concat), or as a scale and a
    shift of it (film). Default: add; with `aam train --pretrained-encoder`, as in the encoder."""
    bases_per_token: int | None = None
    """Adjacent bases that attention reads as one token: 1, 2 or 4. More are faster and need less memory; masks and
    predictions are still of single bases. Default: 1; with `aam train --pretrained-encoder`, as in the encoder."""
    asv_chunk_size: int = 256
    """ASVs encoded at once; 0 = all. Smaller chunks need less memory in prediction; training keeps the activations of
    all chunks."""

    def __post_init__(self) -> None:
        for flag, value in (
            ("--embedding-dim", self.embedding_dim),
            ("--attention-heads", self.attention_heads),
            ("--attention-layers", self.attention_layers),
        ):
            require(value is None or value >= 1, f"{flag} {value}: must be 1 or more")
        require(
            self.count_embedding is not False or self.count_embedding_method is None,
            f"--count-embedding-method {self.count_embedding_method} and --no-count-embedding cannot be combined; "
            "use one of them",
        )
        require(
            self.bases_per_token in (None, *BASES_PER_TOKEN),
            f"--bases-per-token {self.bases_per_token}: must be 1, 2 or 4",
        )
        require(self.asv_chunk_size >= 0, f"--asv-chunk-size {self.asv_chunk_size}: must be 0 (all) or more")
        size = self.size()
        require(size.width <= MAX_WIDTH, f"--embedding-dim {size.width}: must be at most {MAX_WIDTH}")
        require(size.layers <= MAX_LAYERS, f"--attention-layers {size.layers}: must be at most {MAX_LAYERS}")
        require(
            size.width % size.heads == 0,
            f"--embedding-dim {size.width} is not a multiple of --attention-heads {size.heads}: change one",
        )
        what = f"--embedding-dim {size.width} with --attention-layers {size.layers}"
        transformer_size(size.width, 2 * size.layers).check(what)

    def size(self) -> EncoderSize:
        """Return width, heads and layers: those that were passed, else the preset's."""
        preset = PRESETS[self.preset or "base"]
        return EncoderSize(
            width=self.embedding_dim or preset.width,
            heads=self.attention_heads or preset.heads,
            layers=self.attention_layers or preset.layers,
        )

    def stored(self) -> dict[str, Any]:
        """Return the fields of `EncoderConfig` that these options set."""
        size = self.size()
        return {
            "width": size.width,
            "heads": size.heads,
            "asv_layers": size.layers,
            "sample_layers": size.layers,
            "count_embedding": self.count_embedding is not False,
            "count_embedding_method": self.count_embedding_method or "add",
            "bases_per_token": self.bases_per_token or 1,
        }

    def conflicts(self, encoder: EncoderConfig) -> list[str]:
        """Describe each option that was passed and does not match an encoder, as "--embedding-dim 64 (it has 128)"."""
        size = EncoderSize(encoder.width, encoder.heads, encoder.asv_layers)
        abundance = "--count-embedding" if self.count_embedding else "--no-count-embedding"
        matches = {
            f"--preset {self.preset} (it is {size.width} wide, with {size.heads} heads and {size.layers} layers)": (
                self.preset is None or self.size() == size
            ),
            f"--embedding-dim {self.embedding_dim} (it has {size.width})": self.embedding_dim in (None, size.width),
            f"--attention-heads {self.attention_heads} (it has {size.heads})": (
                self.attention_heads in (None, size.heads)
            ),
            f"--attention-layers {self.attention_layers} (it has {size.layers})": (
                self.attention_layers in (None, size.layers)
            ),
            f"{abundance} (it was trained the other way)": self.count_embedding in (None, encoder.count_embedding),
            f"--count-embedding-method {self.count_embedding_method} (it has {encoder.count_embedding_method})": (
                self.count_embedding_method in (None, encoder.count_embedding_method)
            ),
            f"--bases-per-token {self.bases_per_token} (it has {encoder.bases_per_token})": (
                self.bases_per_token in (None, encoder.bases_per_token)
            ),
        }
        return [text for text, is_match in matches.items() if not is_match]


@dataclass(frozen=True)
class Alphabet:
    """Token codes, 0 to ``size - 1``. The bases are ``first_base .. first_base + n_bases - 1``.

    Other codes (ambiguous bases) are read and never predicted.
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
    """Everything that determines an encoder's shapes and arithmetic.

    Attributes:
        asv_encoder: key of the registry of ASV encoders; "none" for a predictor that reads bases and counts only, whose
            width, heads and layers are 0.
        max_bp: largest number of bases in a sequence; positions 0 (START) to max_bp have embeddings.
        width: D, of ASV and sample embeddings.
        asv_layers, sample_layers: blocks over the bases of an ASV, and over the ASVs of a sample.
        count_embedding: whether abundance is an input.
        count_embedding_method: an `AbundanceMethod`.
        objectives: pretraining objectives that the encoder has a head for, keys of `PRETRAINING_HEADS`.
        taxonomy_classes: number of taxa at each rank that the taxonomy head predicts; empty without that head.
        size_embedding: whether the number of a sample's ASVs is an input; attention, a mean, does not see it.
        site_sum: whether an ASV's embedding includes the sum of its site embeddings, see `TransformerAsvEncoder`.
        distance_scale: UniFrac distance that an output of 1 of the distance head means; 1 for metrics of at most 1.
        bases_per_token: adjacent bases that attention over the bases of an ASV reads as one token.
    """

    alphabet: Alphabet
    max_bp: int
    width: int
    heads: int
    asv_layers: int
    sample_layers: int
    count_embedding: bool = True
    objectives: tuple[str, ...] = ("unifrac", "nucleotides", "counts")
    count_embedding_method: str = "add"
    taxonomy_classes: tuple[int, ...] = ()
    distance_scale: float = 1.0
    size_embedding: bool = False
    site_sum: bool = False
    asv_encoder: str = "transformer"
    bases_per_token: int = 1

    def __post_init__(self) -> None:
        methods = get_args(AbundanceMethod)
        require(
            self.count_embedding_method in methods,
            f"count_embedding_method {self.count_embedding_method!r}: must be one of {', '.join(methods)}",
        )
        require(
            len(self.taxonomy_classes) <= MAX_RANKS
            and all(1 <= classes <= MAX_TAXA for classes in self.taxonomy_classes),
            f"taxonomy_classes {self.taxonomy_classes}: at most {MAX_RANKS} ranks of 1 to {MAX_TAXA:,} taxa",
        )
        require(
            ("taxonomy" in self.objectives) == bool(self.taxonomy_classes),
            f"taxonomy_classes {self.taxonomy_classes}: must be set exactly when the objectives include taxonomy "
            f"(they are {', '.join(self.objectives)})",
        )
        require(self.bases_per_token in BASES_PER_TOKEN, f"bases_per_token {self.bases_per_token}: must be 1, 2 or 4")
        require(self.distance_scale > 0, f"distance_scale {self.distance_scale}: must be above 0")
        require(1 <= self.max_bp <= MAX_SEQUENCE_LENGTH, f"max_bp {self.max_bp}: must be 1 to {MAX_SEQUENCE_LENGTH}")
        if self.is_absent:
            sizes = (self.width, self.heads, self.asv_layers, self.sample_layers)
            require(not any(sizes) and not self.objectives, f"an absent encoder with sizes {sizes}, {self.objectives}")
            return
        require(1 <= self.width <= MAX_WIDTH, f"width {self.width}: must be 1 to {MAX_WIDTH}")
        require(self.heads >= 1 and self.width % self.heads == 0, f"{self.heads} heads do not divide {self.width}")
        for name, layers in (("asv_layers", self.asv_layers), ("sample_layers", self.sample_layers)):
            require(1 <= layers <= MAX_LAYERS, f"{name} {layers}: must be 1 to {MAX_LAYERS}")
        self.least_size().check(
            f"width {self.width} with {self.asv_layers} + {self.sample_layers} layers and {self.max_bp} bases"
        )

    @property
    def is_absent(self) -> bool:
        """Return whether there is no encoder."""
        return self.asv_encoder == "none"

    def least_size(self) -> Size:
        """Return the least size of the model; encoders of ASVs other than the transformer may have any."""
        if self.asv_encoder != "transformer":
            return transformer_size(self.width, self.sample_layers)
        parameters, tensors = transformer_size(self.width, self.sample_layers + self.asv_layers)
        sites = (self.max_bp + 1) * self.alphabet.size
        return Size(parameters + sites * self.width, tensors + 1)

    def describe(self) -> str:
        """Describe the size in words, such as "64 wide, 2 heads, 2 + 2 layers"."""
        if self.is_absent:
            return "none"
        size = f"{self.width} wide, {self.heads} heads, {self.asv_layers} + {self.sample_layers} layers"
        return size if self.bases_per_token == 1 else f"{size}, {self.bases_per_token} bases per token"

"""Configuration of the wide features of a sample. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from aam_models.config.limits import MAX_LAYERS, MAX_WIDTH, require

WEIGHTS = ("presence", "sqrt")  # of a sample's ASVs: all alike, or the square roots of their shares


@dataclass(frozen=True)
class FeaturesConfig:
    """Shapes of `SampleFeatures`.

    Attributes:
        functions: random Fourier features at each bandwidth.
        base_bandwidths: bandwidths of the kernel of bases; 0 = bases are not read.
        embedding_bandwidths: bandwidths of the kernel of ASV embeddings; 0 = embeddings are not read.
        presence_bandwidths: bandwidths, from the narrowest, of the kernel means of presence, which are divided by the
            square root of the number of ASVs; 0 = means of presence at all bandwidths. Not used with ``centres``.
        reads: most training ASVs that are stored, from which the missing bases of others are taken; 0 = missing bases
            are the mean of the training ASVs.
        centres: training ASVs, the commonest of those stored, whose similarity to the ASVs of a sample is summed, in
            place of kernel means of presence; 0 = none.
    """

    functions: int
    base_bandwidths: int
    embedding_bandwidths: int = 0
    presence_bandwidths: int = 0
    reads: int = 0
    centres: int = 0

    def __post_init__(self) -> None:
        require(1 <= self.functions <= MAX_WIDTH, f"functions {self.functions}: must be 1 to {MAX_WIDTH:,}")
        for name, number in (
            ("base_bandwidths", self.base_bandwidths),
            ("embedding_bandwidths", self.embedding_bandwidths),
            ("presence_bandwidths", self.presence_bandwidths),
        ):
            require(0 <= number <= MAX_LAYERS, f"{name} {number}: must be 0 to {MAX_LAYERS}")
        require(0 <= self.reads <= MAX_WIDTH, f"reads {self.reads}: must be 0 to {MAX_WIDTH:,}")
        require(self.base_bandwidths > 0 or self.reads == 0, f"{self.reads} reads, but bases are not read")
        require(0 <= self.centres <= self.reads, f"centres {self.centres}: must be 0 to the {self.reads} stored reads")
        require(self.base_bandwidths + self.embedding_bandwidths > 0, "features without bandwidths")

    def bandwidths(self, weights: str) -> tuple[int, ...]:
        """Return the number of bandwidths of each kernel, of bases and of embeddings, with one kind of weight."""
        sources = tuple(n for n in (self.base_bandwidths, self.embedding_bandwidths) if n)
        if weights == "presence" and self.centres:
            return tuple(0 for _ in sources)
        if weights != "presence" or not self.presence_bandwidths:
            return sources
        return tuple(min(n, self.presence_bandwidths) for n in sources)

    def kernel_means(self) -> int:
        """Return the number of kernel means: one per kind of weight, bandwidth and function."""
        return sum(sum(self.bandwidths(weights)) for weights in WEIGHTS) * self.functions

    def similarities(self) -> tuple[int, ...]:
        """Return the number of sums of similarities of each source: to each centre by bases, and by embeddings."""
        return tuple(self.centres for _ in self.bandwidths("sqrt")) if self.centres else ()

    def width(self, embedding: int) -> int:
        """Return the number of all features, with sample embeddings of width ``embedding`` and log richness."""
        return sum(self.similarities()) + self.kernel_means() + embedding + 1

"""Many fixed features of a sample, for a head that is fitted in closed form. Axes: B samples, U ASVs, N occurrences."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aam_models.batch.batch import Batch, EncoderOutput
from aam_models.batch.layout import sample_sums
from aam_models.config.encoder import EncoderConfig
from aam_models.config.features import WEIGHTS, FeaturesConfig
from aam_models.predictor.features.kernel_means import FourierFeatures
from aam_models.predictor.features.nearest_reads import NearestReads
from aam_models.predictor.features.similarities import Similarities

# Variances of all similarities, or kernels, of presence together, relative to those of square roots.
SIMILARITIES, PRESENCE = 8.0, 4.0
RICHNESS = 0.01  # variance of log richness, a single number that would otherwise outweigh kernels when labels are few


class SampleFeatures(nn.Module):
    """Similarities and kernel means of a sample's ASVs, its embedding and its log richness.

    Similarities are sums over the sample's ASVs of those to each of the commonest training ASVs, by bases, and by
    embeddings if there is an encoder, over the square root of the number of ASVs, as in the cosine similarity of
    presence. Kernel means are means of `FourierFeatures` over the ASVs, weighted by the square roots of their shares;
    models without similarities have those of presence, too. All depend on reads only through shares and presence, so
    depth enters only through the number of ASVs.

    Every feature has mean 0 among the training samples. The features of a kernel together have a fixed variance, as
    `variances` says, which is what distances between samples, and penalties on weights, make of it.

    Args:
        config: which features, and how many.
        encoder: has the alphabet, the number of bases and the width of embeddings.
    """

    mean: Tensor
    scale: Tensor
    centres: Tensor

    def __init__(self, config: FeaturesConfig, encoder: EncoderConfig) -> None:
        super().__init__()
        self.config, self.alphabet, self.max_bp = config, encoder.alphabet, encoder.max_bp
        n_inputs, functions = encoder.max_bp * encoder.alphabet.n_bases, config.functions
        read, embedded = config.base_bandwidths, config.embedding_bandwidths
        self.of_bases = FourierFeatures(n_inputs, functions, read) if read else None
        self.of_embeddings = FourierFeatures(encoder.width, functions, embedded) if embedded else None
        n_bases = encoder.alphabet.n_bases
        self.nearest = NearestReads(config.reads, encoder.max_bp, n_bases) if config.reads else None
        self.similar_bases = Similarities() if config.centres and read else None
        self.similar_embeddings = Similarities() if config.centres and embedded else None
        if self.similar_embeddings is not None:
            self.register_buffer("centres", torch.zeros(config.centres, encoder.width))
        self.width = config.width(encoder.width)
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("scale", torch.ones(self.width))

    def blocks(self) -> list[int]:
        """Return the widths of the groups of features that belong together.

        Similarities by one source and means of one kernel are a group each, then come the embedding and richness.
        """
        config = self.config
        kernels = [*config.similarities(), *[config.functions] * (config.kernel_means() // config.functions)]
        rest = self.width - sum(kernels) - 1
        return [*kernels, *([rest] if rest else []), 1]

    def variances(self) -> Tensor:
        """Return the variance that each of the `blocks` has among the training samples, float64.

        Kernels have 1 on average, and narrow ones more than broad ones, whose few directions would otherwise outweigh
        everything else.
        """
        kernels = [SIMILARITIES for _ in self.config.similarities()]
        kernels += [
            (PRESENCE if name == "presence" else 1.0) * 2 * rank / (n * (n + 1))
            for name in WEIGHTS
            for n in self.config.bandwidths(name)
            for rank in range(n, 0, -1)
        ]
        rest = [1.0] * (len(self.blocks()) - len(kernels) - 1)
        of_kernels = torch.tensor(kernels, dtype=torch.float64)
        return torch.cat([of_kernels / of_kernels.mean(), torch.tensor([*rest, RICHNESS], dtype=torch.float64)])

    def forward(self, batch: Batch, encoded: EncoderOutput) -> Tensor:
        """Return the features [B, F] of a batch, in the precision of the weights.

        Args:
            batch: see `Batch`.
            encoded: embeddings of its ASVs and samples, without columns if there is no encoder.
        """
        with torch.autocast(batch.counts.device.type, enabled=False):
            dtype = self.mean.dtype
            embeddings, weights = encoded.asv_embeddings.to(dtype), self._weights(batch)
            similarities, of_asvs = self.of_asvs(batch, embeddings)
            sums = [weights["presence"].to(dtype) @ each for each in similarities]
            means = [
                each.to(dtype) @ features[:, : n * self.config.functions]
                for name, each in weights.items()
                for features, n in zip(of_asvs, self.config.bandwidths(name), strict=True)
            ]
            richness = batch.sample_ptr.diff().to(dtype).log()[:, None]
            features = torch.cat([*sums, *means, encoded.sample_embeddings.to(dtype), richness], dim=1)
            return (features - self.mean) / self.scale

    def forget(self) -> None:
        """Return to the initial mean 0 and scale 1, without stored reads, so that the features can be fitted anew."""
        self.mean.zero_()
        self.scale.fill_(1.0)
        if self.nearest is not None:
            self.nearest.reads.zero_()
        if self.similar_embeddings is not None:
            self.centres.zero_()

    def standardize(self, features: Tensor) -> Tensor:
        """Set mean and scale from features of training samples; constant blocks keep a scale of 1.

        Args:
            features: [R, F] on the CPU, computed with the initial mean 0 and scale 1.

        Returns:
            The standardized features, as the module returns them from now on.
        """
        exact = features.double()
        of_block = torch.stack([part.sum() for part in exact.var(dim=0, correction=0).split(self.blocks())])
        scale = (torch.where(of_block > 1e-12, of_block, 1.0) / self.variances()).sqrt()
        self.mean.copy_(exact.mean(dim=0))
        self.scale.copy_(scale.repeat_interleave(torch.tensor(self.blocks())))
        return (features - self.mean.cpu()) / self.scale.cpu()

    def of_asvs(self, batch: Batch, embeddings: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return features of the batch's ASVs: similarities [U, C] and Fourier features [U, M] of each source.

        Sources are their bases and, with an encoder, their embeddings [U, D].
        """
        similarities, kernels = [], []
        if self.of_bases is not None:
            bases, known = self.bases(batch)
            kernels.append(self.of_bases(bases, known))
            if self.similar_bases is not None:
                similarities.append(self.similar_bases(bases, *self._centres(bases)))
        if self.of_embeddings is not None:
            kernels.append(self.of_embeddings(embeddings))
            if self.similar_embeddings is not None:
                middle = self.centres.mean(dim=0)  # small numbers lose fewer digits
                exists = self._centres(embeddings)[1]
                similarities.append(self.similar_embeddings(embeddings - middle, self.centres - middle, exists))
        return similarities, kernels

    def _centres(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the one-hot bases of the centres [C, K], and which of them exist [C]."""
        assert self.nearest is not None
        bases = self.nearest.one_hot(self.config.centres).to(like)
        return bases, bases.any(dim=1)

    def bases(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return one-hot bases, and 1 where a base is known, [U, max_bp * n_bases] each.

        Missing bases are those of the nearest training ASV; unknown are those that it lacks, too.
        """
        n_bases = self.alphabet.n_bases
        code = self.base_codes(batch)
        if self.nearest is not None:
            code = self.nearest.fill(code)
        known = code >= 0
        one_hot = F.one_hot(torch.where(known, code, 0), n_bases) * known[..., None]
        each = known[..., None].expand(one_hot.shape)
        return one_hot.flatten(1).to(self.mean.dtype), each.flatten(1).to(self.mean.dtype)

    def base_codes(self, batch: Batch) -> Tensor:
        """Return the index of each base, int64 [U, max_bp]; -1 where it is missing.

        Positions in front of and behind a sequence, and ambiguous bases, are missing.
        """
        code = batch.tokens[:, 1 : self.max_bp + 1].long() - self.alphabet.first_base
        code = F.pad(code, (0, self.max_bp - code.shape[1]), value=-1)
        return torch.where((code >= 0) & (code < self.alphabet.n_bases), code, -1)

    def _weights(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weights of ASVs in samples, [B, U], by the names of ``WEIGHTS``.

        Their rows sum to 1; squares of presence do for similarities and at narrow bandwidths.
        """
        share = batch.counts / sample_sums(batch.counts, batch)[batch.sample_of]
        values = {"presence": torch.ones_like(share), "sqrt": share.sqrt()}
        weights = {}
        for name in WEIGHTS:
            total = sample_sums(values[name], batch)
            if name == "presence" and (self.config.centres or self.config.presence_bandwidths):
                total = total.sqrt()
            each = values[name] / total[batch.sample_of]
            matrix = each.new_zeros((batch.n_samples, batch.n_asvs))
            matrix[batch.sample_of, batch.asv_index] = each
            weights[name] = matrix
        return weights

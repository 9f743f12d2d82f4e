"""Inference on whole sets of samples: every distinct ASV is encoded once, every sample is run once, in order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aam_data.preprocessing.dataset import SampleDataset
from aam_models.encoder.value_head import ValueHead
from aam_models.requested import EMBEDDINGS, RequestedOutputs, requested_heads
from aam_train.data.corruptions import Corruptions
from aam_train.data.loading import FIXED_DRAW, BatchMaker, BatchRequest
from aam_train.engine.embedding_table import EmbeddingTable
from aam_train.engine.step import Step
from aam_train.errors import TrainError
from aam_train.parallel.sharded_map import map_over_ranks

ASVS_AT_ONCE = 4096  # encoded per call; the model splits them into smaller chunks
ASVS_IN_MEMORY = 16 * ASVS_AT_ONCE  # encoded before they are moved to the table


@dataclass(frozen=True, eq=False)
class SampleOutputs:
    """Outputs for R samples, in the requested order, on the host.

    Attributes:
        embeddings: float32 [R, D]; None unless requested.
        features: float32 [R, F] that the head reads; None unless requested.
        outputs: float32 [R, W] in transformed units or logits; None without a head.
        values: float32 [R] by objective, of heads that predict a value per sample, in its own units.
        routing: float32 [R, K] share of each expert; None without a mixture of experts.
    """

    embeddings: np.ndarray | None = None
    features: np.ndarray | None = None
    outputs: np.ndarray | None = None
    routing: np.ndarray | None = None
    values: dict[str, np.ndarray] = field(default_factory=dict)


@contextlib.contextmanager
def evaluating(step: Step) -> Iterator[None]:
    """Switch to evaluation mode without gradients."""
    step.model.eval()
    with torch.no_grad():
        yield


def embed_asvs(step: Step, maker: BatchMaker, asv_rows: np.ndarray) -> EmbeddingTable:
    """Compute the embeddings of ASVs of the study (int64 rows, each once)."""
    # by length, so that chunks are uniform
    by_length = asv_rows[np.argsort(maker.collator.lengths[asv_rows], kind="stable")]
    n_asvs, width = maker.samples.study.table.n_features, step.encoder.config.width
    table = EmbeddingTable(
        by_length, n_asvs, width, step.device, step.scratch, processes=step.strategy.ranks.local_size
    )

    def embed(asvs: np.ndarray) -> tuple[Tensor, ...]:
        step.check_stop()
        batch = maker.collator.asvs(asvs, FIXED_DRAW, ())
        return batch.asv_rows.to(step.device), step.encode_asvs(batch, EMBEDDINGS).embeddings

    with evaluating(step):
        for first in range(0, len(by_length), ASVS_IN_MEMORY):
            part = by_length[first : first + ASVS_IN_MEMORY]
            table.put(*map_over_ranks(step.strategy.ranks, part, ASVS_AT_ONCE, embed))
    return table


@contextlib.contextmanager
def encoded_once(step: Step, maker: BatchMaker, rows: np.ndarray, draws: Sequence[int]) -> Iterator[None]:
    """Encode every ASV in these draws of the samples once, for use within the context, unless it is cached already."""
    if step.asv_table is not None or step.sample_table is not None:
        yield
        return
    step.asv_table = embed_asvs(step, maker, maker.samples.drawn_asvs(rows, draws))
    try:
        yield
    finally:
        step.asv_table = None


def run_passes(
    step: Step, maker: BatchMaker, rows: np.ndarray, batch_size: int, requested: RequestedOutputs, passes: int
) -> list[SampleOutputs]:
    """Run the samples in several fixed draws, one after the other; the first is that of `run_samples`."""
    draws = [FIXED_DRAW - number for number in range(passes)]
    with encoded_once(step, maker, rows, draws):
        return [run_samples(step, maker, rows, batch_size, requested, draw) for draw in draws]


def number_of_passes(flag: str, requested: int | None, default: int, samples: SampleDataset) -> int:
    """Return the number of passes: as requested, else the default, but 1 if all draws are the same.

    Args:
        flag: option of the request, for messages.

    Raises:
        TrainError: several passes are requested, but all would be the same.
    """
    fixed = samples.are_fixed(np.arange(len(samples)))
    if requested is not None and requested > 1 and fixed:
        raise TrainError(
            f"{flag} {requested}: without rarefaction, and without --asv-sampling random and samples above the token "
            "limit, all passes are the same. Omit it"
        )
    return 1 if fixed else requested or default


def run_samples(
    step: Step,
    maker: BatchMaker,
    rows: np.ndarray,
    batch_size: int,
    requested: RequestedOutputs,
    draw: int = FIXED_DRAW,
) -> SampleOutputs:
    """Compute the requested outputs for a fixed draw of these samples, without masking."""
    names: list[str] = []

    def run(part: np.ndarray) -> tuple[Tensor, ...]:
        step.check_stop()
        result = step.run(maker[BatchRequest(part, draw, ())], requested)
        tensors = {"embeddings": result.encoded.sample_embeddings} if requested.sample_embeddings else {}
        if result.features is not None:
            tensors["features"] = result.features
        if result.predicted is not None:
            tensors["outputs"] = result.predicted.outputs
            if result.predicted.routing is not None:
                tensors["routing"] = result.predicted.routing
        for name, values in result.encoded.predictions.items():
            head = step.encoder.head(name)
            if isinstance(head, ValueHead):
                tensors[name] = head.restore(values)
        names[:] = list(tensors)
        return tuple(tensors.values())

    with evaluating(step), encoded_once(step, maker, rows, [draw]):
        sizes = maker.samples.most_asvs(rows)
        results = map_over_ranks(step.strategy.ranks, rows, batch_size, run, sizes=sizes, max_total=step.slots_at_once)
    arrays = {name: result.cpu().numpy() for name, result in zip(names, results, strict=True)}
    whole = {name: arrays.pop(name) for name in ("embeddings", "features", "outputs", "routing") if name in arrays}
    return SampleOutputs(**whole, values=arrays)


def predict_taxa(step: Step, maker: BatchMaker, asv_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predict the taxa of ASVs.

    Args:
        asv_rows: ASVs of the study, ascending.

    Returns:
        The most probable taxon at each rank, int64 [A, R], and the cross-entropy of the true one, float32 [A, R], 0 if
        it is unknown.
    """
    taxa, widths = maker.collator.taxa, step.encoder.config.taxonomy_classes
    assert taxa is not None

    def predict(asvs: np.ndarray) -> tuple[Tensor, ...]:
        step.check_stop()
        batch = maker.collator.asvs(asvs, FIXED_DRAW, ())
        order = torch.argsort(batch.asv_rows).to(step.device)  # batches are ordered by length
        ranks = step.predict_taxa(batch)[order].split(widths, dim=1)
        true = torch.from_numpy(taxa[asvs]).to(step.device)
        each = zip(ranks, true.unbind(dim=1), strict=True)
        losses = [F.cross_entropy(logits, code, ignore_index=-1, reduction="none") for logits, code in each]
        return torch.stack([logits.argmax(dim=1) for logits in ranks], dim=1), torch.stack(losses, dim=1)

    with evaluating(step):
        best, losses = map_over_ranks(step.strategy.ranks, asv_rows, ASVS_AT_ONCE, predict)
    return best.cpu().numpy(), losses.cpu().numpy()


def predict_masked_bases(
    step: Step, maker: BatchMaker, asv_rows: np.ndarray, corruptions: Corruptions
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Predict masked bases under the fixed draw, for each ASV once.

    Args:
        asv_rows: ASVs of the study, ascending.

    Returns:
        ASV row, base position (from 0), true base (0-3), int64 [M] each, and logits float32 [M, 4].
    """

    def predict(asvs: np.ndarray) -> tuple[Tensor, ...]:
        step.check_stop()
        batch = maker.collator.asvs(asvs, FIXED_DRAW, corruptions)
        predicted = step.encode_asvs(batch, requested_heads("nucleotides")).nucleotide_logits
        if predicted is None:  # all masked bases are ambiguous
            predicted = torch.zeros((0, step.encoder.config.alphabet.n_bases), device=step.device)
        where = batch.asv_rows[batch.masked_rows], batch.masked_columns - 1, batch.masked_bases
        return *(values.to(step.device) for values in where), predicted

    with evaluating(step):
        results = map_over_ranks(step.strategy.ranks, asv_rows, ASVS_AT_ONCE, predict, one_row_each=False)
    row, position, base, logits = (values.cpu().numpy() for values in results)
    return row, position, base, logits

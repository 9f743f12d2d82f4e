"""Passes over whole sets of samples: every distinct ASV is encoded once, every sample is seen once, in order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aam_data.dataset import SampleDataset
from aam_train.collate import Masking
from aam_train.errors import TrainError
from aam_train.loading import FIXED_DRAW, BatchMaker, BatchRequest
from aam_train.parallel.shares import run_shared
from aam_train.step import Step

ASVS_AT_ONCE = 4096  # encoded per call; the model chunks further


@dataclass(frozen=True, eq=False)
class SampleOutputs:
    """Of R samples, in the order asked for, on the host.

    Attributes:
        embeddings: float32 [R, D].
        outputs: float32 [R, W] in transformed units or logits; None without a head.
        faith_pd: float32 [R] in its own units; None without a head.
        routing: float32 [R, K] share of each expert; None without a mixture of experts.
    """

    embeddings: np.ndarray
    outputs: np.ndarray | None
    faith_pd: np.ndarray | None
    routing: np.ndarray | None = None


@contextlib.contextmanager
def evaluating(step: Step) -> Iterator[None]:
    """Evaluation mode without gradients; the tables of frozen parts are put back afterwards."""
    tables = step.asv_table, step.sample_table
    step.model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        step.asv_table, step.sample_table = tables


def asvs_of(maker: BatchMaker, rows: np.ndarray) -> np.ndarray:
    """ASVs that any draw of these samples can hold, int64, ascending."""
    return np.unique(maker.samples.study.table.take_counts(rows).indices).astype(np.int64)


def embed_asvs(step: Step, maker: BatchMaker, asv_rows: np.ndarray) -> Tensor:
    """Embeddings of the study's ASVs [A, D] on the device; rows that were not asked for are 0."""
    n_asvs = maker.samples.study.table.n_features
    table = torch.zeros((n_asvs, step.encoder.config.width), device=step.device)

    def embed(asvs: np.ndarray) -> tuple[Tensor, ...]:
        step.check_stop()
        batch = maker.collator.asvs(asvs, FIXED_DRAW, Masking())
        return batch.asv_rows.to(step.device), step.encode_asvs(batch).embeddings

    # by length, so that chunks are uniform
    by_length = asv_rows[np.argsort(maker.collator.lengths[asv_rows], kind="stable")]
    with evaluating(step):
        rows, embeddings = run_shared(step.strategy.ranks, by_length, ASVS_AT_ONCE, embed)
    table[rows] = embeddings
    return table


def embed_drawn_asvs(step: Step, maker: BatchMaker, rows: np.ndarray, draw: int = FIXED_DRAW) -> Tensor:
    """Like `embed_asvs`, for the ASVs in a fixed draw of these samples."""
    drawn = maker.samples.samples(rows, draw)
    return embed_asvs(step, maker, np.unique(np.concatenate([sample.asv_rows for sample in drawn])))


def run_passes(step: Step, maker: BatchMaker, rows: np.ndarray, batch_size: int, passes: int) -> list[SampleOutputs]:
    """The samples in several fixed draws, one after the other: the first is that of `run_samples`."""
    return [run_samples(step, maker, rows, batch_size, FIXED_DRAW - number) for number in range(passes)]


def number_of_passes(flag: str, asked: int | None, usual: int, samples: SampleDataset) -> int:
    """How many passes to make: as asked, else as usual, but one where all draws are the same.

    Raises:
        TrainError: several passes that would all be the same are asked for.
    """
    fixed = samples.are_fixed(np.arange(len(samples)))
    if asked is not None and asked > 1 and fixed:
        raise TrainError(
            f"{flag} {asked}: without rarefaction, and without --asv-sampling random and samples above the token "
            "limit, all passes are the same. Leave it out"
        )
    return 1 if fixed else asked or usual


def run_samples(
    step: Step, maker: BatchMaker, rows: np.ndarray, batch_size: int, draw: int = FIXED_DRAW
) -> SampleOutputs:
    """Embeddings and outputs of a fixed draw of these samples, nothing masked."""
    if step.asv_table is None and step.sample_table is None:
        asv_table = embed_drawn_asvs(step, maker, rows, draw)
    else:
        asv_table = step.asv_table  # type: ignore[assignment]
    head, names = step.encoder.faith_pd_head, ["embeddings"]

    def run(part: np.ndarray) -> tuple[Tensor, ...]:
        step.check_stop()
        result = step.run(maker[BatchRequest(part, draw, Masking())].to(step.device))
        found = {"embeddings": result.encoded.sample_embeddings}
        if result.predicted is not None:
            found["outputs"] = result.predicted.outputs
            if result.predicted.routing is not None:
                found["routing"] = result.predicted.routing
        if head is not None and result.encoded.faith_pd is not None:
            found["faith_pd"] = head.restore(result.encoded.faith_pd)
        names[:] = list(found)
        return tuple(found.values())

    with evaluating(step):
        step.asv_table = asv_table
        results = run_shared(step.strategy.ranks, rows, batch_size, run)
    on_host = {name: result.cpu().numpy() for name, result in zip(names, results, strict=True)}
    return SampleOutputs(on_host.pop("embeddings"), **{"outputs": None, "faith_pd": None, **on_host})


def predict_taxa(step: Step, maker: BatchMaker, asv_rows: np.ndarray) -> np.ndarray:
    """Logits of the taxa of all ranks of these ASVs, float32 [A, sum of widths]."""

    def predict(asvs: np.ndarray) -> tuple[Tensor, ...]:
        step.check_stop()
        batch = maker.collator.asvs(asvs, FIXED_DRAW, Masking())
        order = torch.argsort(batch.asv_rows).to(step.device)  # batches are ordered by length
        return (step.predict_taxa(batch)[order],)

    with evaluating(step):
        (logits,) = run_shared(step.strategy.ranks, asv_rows, ASVS_AT_ONCE, predict)
    found: np.ndarray = logits.cpu().numpy()
    return found


def predict_masked_bases(
    step: Step, maker: BatchMaker, asv_rows: np.ndarray, masking: Masking
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Logits of masked bases under the fixed draw, each ASV once; ``asv_rows`` ascending.

    Returns:
        ASV row, base position (from 0), true base (0-3), int64 [M] each, and logits float32 [M, 4].
    """

    def predict(asvs: np.ndarray) -> tuple[Tensor, ...]:
        step.check_stop()
        batch = maker.collator.asvs(asvs, FIXED_DRAW, masking)
        predicted = step.encode_asvs(batch).nucleotide_logits
        if predicted is None:  # of ambiguous bases alone
            predicted = torch.zeros((0, step.encoder.config.alphabet.n_bases), device=step.device)
        where = batch.asv_rows[batch.masked_rows], batch.masked_columns - 1, batch.masked_bases
        return *(values.to(step.device) for values in where), predicted

    with evaluating(step):
        found = run_shared(step.strategy.ranks, asv_rows, ASVS_AT_ONCE, predict, one_row_each=False)
    row, position, base, logits = (values.cpu().numpy() for values in found)
    return row, position, base, logits

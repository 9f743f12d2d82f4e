"""Samples as model input: rarefied, and cut to a number of ASVs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aam_data.notes import Note
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.random_keys import Purpose, generator, sample_key

if TYPE_CHECKING:
    from aam_data.study.study import Study

_DRAWN_AT_ONCE = 4096  # samples


class Sample(NamedTuple):
    """One draw of one sample.

    Attributes:
        row: row of the sample in its study.
        asv_rows: int64 [n] features of the study, ascending (canonical order).
        counts: float32 [n] reads or abundances, > 0.
        reads_cut: reads of the draw that are not in ``counts`` because of ``max_asvs``.
        asvs_cut: ASVs of the draw that are not in ``asv_rows``.
    """

    row: int
    asv_rows: np.ndarray
    counts: np.ndarray
    reads_cut: float
    asvs_cut: int


class SampleDataset:
    """Samples of a study, processed by the preprocessor.

    Args:
        study: study of the samples.
        rarefier: rarefier of the study's table, with the preprocessor's depth and seed.
        preprocessor: sets the number of ASVs, and which ones are kept.
    """

    def __init__(self, study: Study, rarefier: Rarefier, preprocessor: Preprocessor) -> None:
        if (rarefier.depth, rarefier.seed) != (preprocessor.rarefy_depth, preprocessor.seed):
            raise ValueError("the rarefier does not have the preprocessor's depth and seed")
        self.study, self.rarefier, self.preprocessor = study, rarefier, preprocessor

    def __len__(self) -> int:
        return self.study.table.n_samples

    def sample(self, row: int, draw: int) -> Sample:
        """Return draw number ``draw`` of one sample; see ``Rarefier.draw`` for draws."""
        return self.samples(np.array([row]), draw)[0]

    def samples(self, rows: np.ndarray, draw: int) -> list[Sample]:
        """Return draw number ``draw`` of the samples ``rows`` (int64 [R]), in that order.

        Of a sample with more than ``max_asvs`` ASVs, ``asv_sampling`` keeps the most abundant (the earlier in
        canonical order among equals), the first in the file, or random ones by key.
        """
        drawn = self.rarefier.draw(rows, draw)
        asv_rows, counts = drawn.indices.astype(np.int64), drawn.counts.astype(np.float32)
        limit = self.preprocessor.max_asvs
        samples = []
        for row, start, stop in zip(rows.tolist(), drawn.indptr[:-1].tolist(), drawn.indptr[1:].tolist(), strict=True):
            whole = slice(start, stop)
            if stop - start <= limit:
                samples.append(Sample(row, asv_rows[whole], counts[whole], 0.0, 0))
                continue
            reads = drawn.counts[whole]
            kept = start + np.sort(self._chosen(row, draw, asv_rows[whole], reads)[:limit])
            reads_cut = float(reads.sum() - drawn.counts[kept].sum())
            samples.append(Sample(row, asv_rows[kept], counts[kept], reads_cut, stop - start - limit))
        return samples

    def each(self, rows: np.ndarray, draw: int) -> Iterator[Sample]:
        """Yield the results of `samples` without holding all of them in memory."""
        for start in range(0, len(rows), _DRAWN_AT_ONCE):
            yield from self.samples(rows[start : start + _DRAWN_AT_ONCE], draw)

    def drawn_asvs(self, rows: np.ndarray, draws: Sequence[int]) -> np.ndarray:
        """List the ASVs that any of the samples ``rows`` has in any of these draws, int64, ascending."""
        drawn = np.zeros(self.study.table.n_features, dtype=bool)
        for draw in draws:
            for sample in self.each(rows, draw):
                drawn[sample.asv_rows] = True
        return np.flatnonzero(drawn)

    def most_asvs(self, rows: np.ndarray) -> np.ndarray:
        """Return an upper limit of the ASVs in any draw of these samples, int64 [R]."""
        most = np.minimum(self.study.table.features_per_sample()[rows], self.preprocessor.max_asvs)
        return np.minimum(most, self.rarefier.depth) if self.rarefier.depth else most

    def are_fixed(self, rows: np.ndarray) -> bool:
        """Return whether all draws of these samples are equal."""
        if self.rarefier.depth and self.rarefier.only_draw is None:
            return False
        richness = self.study.table.features_per_sample()[rows]
        limit, random = self.preprocessor.max_asvs, self.preprocessor.asv_sampling == "random"
        return not (random and bool((richness > limit).any()))

    def _chosen(self, row: int, draw: int, asv_rows: np.ndarray, reads: np.ndarray) -> np.ndarray:
        """Return indices into a sample's ASVs in the order in which they are kept."""
        table, sampling = self.study.table, self.preprocessor.asv_sampling
        if sampling == "first":
            return np.argsort(asv_rows if table.file_rows is None else table.file_rows[asv_rows])
        if sampling == "random":
            key = sample_key(table.sample_ids[row])
            return generator(self.preprocessor.seed, Purpose.ASV_SAMPLING, key, draw).permutation(len(asv_rows))
        return np.argsort(-reads, kind="stable")


_LEFT_OUT = {"abundance": "the {} rarest ASVs", "first": "the {} last ASVs of the file", "random": "{} random ASVs"}


def cut_report(dataset: SampleDataset, rows: np.ndarray, draw: int) -> Note | None:
    """Describe in one sentence what ``--max-asvs`` and ``--max-bp`` cut from the samples ``rows``; None if nothing.

    It is a warning if no sequence is whole. ASVs and reads are those of draw number ``draw``; sequences are those of
    the whole study.
    """
    limit, max_bp = dataset.preprocessor.max_asvs, dataset.preprocessor.max_bp
    n_features = dataset.study.table.features_per_sample()[rows]
    large = rows[n_features > limit]  # no draw of the others exceeds it
    n_cut, asvs, reads_cut, reads_kept, parts = 0, 0, 0.0, 0.0, []
    for sample in dataset.each(large, draw):
        if sample.asvs_cut:
            n_cut, asvs, reads_cut = n_cut + 1, asvs + sample.asvs_cut, reads_cut + sample.reads_cut
            reads_kept += float(sample.counts.sum(dtype=np.float64))
    if n_cut:
        parts.append(
            f"--max-asvs {limit} leaves out {_LEFT_OUT[dataset.preprocessor.asv_sampling].format(f'{asvs:,}')} of "
            f"{n_cut:,} of {len(rows):,} samples ({reads_cut / (reads_cut + reads_kept):.2%} of their reads)"
        )
    too_long = int(np.count_nonzero(dataset.study.sequences.lengths > max_bp))
    n_sequences = len(dataset.study.sequences.lengths)
    if 0 < too_long == n_sequences:
        longest = int(dataset.study.sequences.lengths.max())
        what = f"--max-bp {max_bp} cuts the end of every one of the {n_sequences:,} sequences"
        parts.insert(0, f"{what}; --max-bp {longest} in training keeps all of them whole")
    elif too_long:
        parts.append(f"--max-bp {max_bp} cuts the ends of {too_long:,} of {n_sequences:,} sequences")
    if not parts:
        return None
    return Note("option-cuts-samples", "; ".join(parts), "warning" if too_long == n_sequences else "note")

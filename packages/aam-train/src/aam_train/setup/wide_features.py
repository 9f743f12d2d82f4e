"""What the wide features of a probe take from training samples, without their labels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from aam_data.random_keys import Purpose, generator
from aam_models.predictor.features.sample_features import SampleFeatures
from aam_train.data.loading import FIXED_DRAW
from aam_train.data.run_data import RunData
from aam_train.engine.step import Step
from aam_train.evaluation.inference import ASVS_AT_ONCE, embed_asvs
from aam_train.setup.architecture import BANDWIDTHS, SIMILARITY_BANDWIDTH

MAX_ASVS = 4096  # of which distances are computed


def fit_features(features: SampleFeatures, step: Step, data: RunData, rows: np.ndarray, seed: int) -> None:
    """Set centres, bandwidths and stored reads from the ASVs of the samples ``rows``; draw the random directions.

    All processes of a run must call it.
    """
    features.forget()
    asvs = data.maker.samples.drawn_asvs(rows, [FIXED_DRAW])
    some = np.sort(generator(seed, Purpose.FEATURES, 0).permutation(asvs)[:MAX_ASVS])
    common = _commonest(data, rows)[: features.config.reads]
    random = torch.Generator().manual_seed(seed)
    if features.of_bases is not None:
        centre = _mean_bases(features, data, asvs)
        bases, known = features.bases(data.maker.collator.asvs(some, FIXED_DRAW, ()))
        unit = _median_distance((bases - centre) * known)
        features.of_bases.set(centre, torch.tensor(BANDWIDTHS) * unit, random)
        if features.similar_bases is not None:
            features.similar_bases.bandwidth.fill_(SIMILARITY_BANDWIDTH * unit)
    if features.of_embeddings is not None:
        table = step.asv_table or embed_asvs(step, data.maker, asvs)
        embeddings = table.take(torch.from_numpy(asvs)).cpu()
        centre = embeddings.mean(dim=0)
        chosen = torch.from_numpy(np.searchsorted(asvs, some))
        unit = _median_distance(embeddings[chosen] - centre)
        features.of_embeddings.set(centre, torch.tensor(BANDWIDTHS) * unit, random)
        if features.similar_embeddings is not None:
            features.similar_embeddings.bandwidth.fill_(SIMILARITY_BANDWIDTH * unit)
            compared = np.searchsorted(asvs, common[: features.config.centres])
            features.centres[: len(compared)] = embeddings[torch.from_numpy(compared)]
    if features.nearest is not None:  # last: centres and bandwidths are those of bases that were read
        features.nearest.set(_bases(features, data, common))


def _mean_bases(features: SampleFeatures, data: RunData, asvs: np.ndarray) -> Tensor:
    """Return the share of each base at each position among the ASVs that have one there, [K]."""
    sums, counts = torch.zeros(2, features.max_bp * features.alphabet.n_bases, dtype=torch.float64)
    for start in range(0, len(asvs), ASVS_AT_ONCE):
        batch = data.maker.collator.asvs(asvs[start : start + ASVS_AT_ONCE], FIXED_DRAW, ())
        bases, known = features.bases(batch)
        sums += bases.sum(dim=0, dtype=torch.float64)
        counts += known.sum(dim=0, dtype=torch.float64)
    return (sums / counts.clamp_min(1)).float()


def _commonest(data: RunData, rows: np.ndarray) -> np.ndarray:
    """Return the ASVs of the samples ``rows``, int64; those that most samples have come first."""
    n_samples = np.zeros(data.study.table.n_features, dtype=np.int64)
    for sample in data.maker.samples.each(rows, FIXED_DRAW):
        n_samples[sample.asv_rows] += 1
    return np.argsort(-n_samples, kind="stable")[: np.count_nonzero(n_samples)]


def _bases(features: SampleFeatures, data: RunData, asvs: np.ndarray) -> Tensor:
    """Return the bases of these ASVs, int64 [n, L], in their order."""
    batch = data.maker.collator.asvs(asvs, FIXED_DRAW, ())
    place = np.empty(data.study.table.n_features, dtype=np.int64)
    place[batch.asv_rows.numpy()] = np.arange(len(asvs))
    return features.base_codes(batch)[torch.from_numpy(place[asvs])]


def _median_distance(points: Tensor) -> float:
    """Return the median distance of some points [n, K]; 1 if all are equal."""
    distances = torch.pdist(points[:: max(1, len(points) // 1024)])
    median = float(distances.median()) if len(distances) else 0.0
    return median or 1.0

"""Which samples' pairs stand for all: of many samples a fixed subset."""

from __future__ import annotations

import numpy as np

from aam_data.random_keys import Purpose, generator

MOST_SAMPLES_IN_PAIRS = 2000  # of more samples a seeded subset is taken


def sample_for_pairs(n_samples: int) -> np.ndarray:
    """Which of so many samples make pairs: all, or the same random subset every time; int64, ascending."""
    if n_samples <= MOST_SAMPLES_IN_PAIRS:
        return np.arange(n_samples)
    random = generator(0, Purpose.CALIBRATION, n_samples)
    return np.sort(random.choice(n_samples, MOST_SAMPLES_IN_PAIRS, replace=False))

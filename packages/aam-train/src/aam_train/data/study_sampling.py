"""Samples of an epoch where studies have other shares than their sizes give them."""

from __future__ import annotations

import numpy as np

from aam_data.random_keys import Purpose, generator, sample_key


class StudySampler:
    """Draws as many samples an epoch as there are, with shares of the studies proportional to size to the power T.

    A small study's samples are repeated, as often as its share needs; of a large study's samples another part is used
    in each epoch. Draws only depend on seed, epoch and the name of the study.

    Args:
        rows: int64 [R] rows of the training samples, in an order that does not depend on the table's.
        studies: [R] str objects, name of each sample's study.
        temperature: T, 0 (equal shares) to 1 (shares as they are).
        seed: random seed.
    """

    def __init__(self, rows: np.ndarray, studies: np.ndarray, temperature: float, seed: int) -> None:
        self.seed, self.names = seed, sorted(set(studies.tolist()))
        self.rows = [rows[studies == name] for name in self.names]
        self.numbers = shares_of(np.array([len(each) for each in self.rows]), temperature)

    def order(self, epoch: int) -> np.ndarray:
        """Return the samples of an epoch in the order in which its steps use them, int64 [R]."""
        drawn = [self._draw(study, epoch) for study in range(len(self.rows))]
        return generator(self.seed, Purpose.ORDER, epoch).permutation(np.concatenate(drawn))

    def _draw(self, study: int, epoch: int) -> np.ndarray:
        rows, number = self.rows[study], int(self.numbers[study])
        whole, rest = divmod(number, len(rows))
        random = generator(self.seed, Purpose.STUDIES, sample_key(self.names[study]), epoch)
        return np.concatenate([np.tile(rows, whole), random.permutation(rows)[:rest]])


def shares_of(sizes: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the sum of ``sizes`` (int [K], above 0) in proportion to their powers, by largest remainders, int64 [K].

    Every study gets a sample at least.
    """
    exact = sizes.astype(np.float64) ** temperature
    exact *= sizes.sum() / exact.sum()
    numbers = np.maximum(np.floor(exact), 1).astype(np.int64)
    missing = int(sizes.sum() - numbers.sum())
    if missing > 0:
        numbers[np.argsort(numbers - exact, kind="stable")[:missing]] += 1
    while missing < 0:  # studies that were raised to one sample
        numbers[np.argmax(numbers)] -= 1
        missing += 1
    return numbers

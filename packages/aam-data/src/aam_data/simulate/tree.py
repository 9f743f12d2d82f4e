"""Random trees, and sequences that evolve along them, for simulated studies."""

from __future__ import annotations

import numpy as np

from aam_data.alphabet import A

HEIGHT = 0.25  # expected substitutions per site from the root to a tip
RATE_SHAPE = 4.0  # gamma shape of branch rates around 1: deviation of the tree from a molecular clock
SITE_SHAPE, CONSERVED = 0.6, 0.35  # gamma shape of variable sites; share of sites that (almost) never change
TRANSITION_BIAS = 4.0  # kappa of Kimura 1980: transitions over transversions
CLADE_SPLITS, INNER_SPLITS = (
    (0.6, 1.0),
    0.1,
)  # relative heights of splits between clades, mean of those within


def random_tree(
    n_tips: int, n_clades: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw a binary tree by the coalescent point process (Popovic 2004).

    The splits between neighbouring tips have independent heights, and the tree follows from them. Clades are runs of
    neighbouring tips of similar size, separated by splits that are deeper than all others.

    Returns:
        Parents int32 [n], lengths float64 [n], node number of each tip int32 [n_tips] (depth-first order, as in
        NewickTree), and clade of each tip int64 [n_tips].
    """
    height = np.minimum(rng.exponential(INNER_SPLITS, n_tips - 1), 0.9 * CLADE_SPLITS[0])
    bounds = (np.arange(1, n_clades) + rng.uniform(-0.3, 0.3, n_clades - 1)) * n_tips / n_clades
    deep = np.unique(np.clip(bounds.astype(np.int64), 1, n_tips - 1))
    height[deep - 1] = rng.uniform(*CLADE_SPLITS, len(deep))
    clade = np.searchsorted(deep, np.arange(n_tips), side="right")

    # Split j lies between tips j and j + 1 and spans the tips between the nearest deeper splits on both sides.
    left, right = _nearest_deeper(height)
    start = np.concatenate([left + 1, np.arange(n_tips)])  # first the splits, then the tips
    size = np.concatenate([right - left, np.ones(n_tips, dtype=np.int64)])
    ceiling = np.concatenate([[np.inf], height, [np.inf]])
    below = np.concatenate([left, np.arange(-1, n_tips - 1)])  # the deeper splits that bound each node
    above = np.concatenate([right, np.arange(n_tips)])
    over = np.where(ceiling[below + 1] < ceiling[above + 1], below, above)
    own_height = np.concatenate([height, np.zeros(n_tips)])
    root = np.flatnonzero(size == n_tips)[0]
    over[root] = root
    length = HEIGHT * (own_height[over] - own_height) * rng.gamma(RATE_SHAPE, 1 / RATE_SHAPE, len(over))

    order = np.lexsort((-size, start))
    number = np.empty(len(order), dtype=np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    parent = number[over[order]]
    parent[0] = -1
    return parent, length[order], number[n_tips - 1 :], clade


def _nearest_deeper(height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest deeper split to the left (-1: none) and right (n: none) of each split, int64 [n] each."""
    n = len(height)
    left, right = np.full(n, -1), np.full(n, n)
    open_splits: list[int] = []
    for j, value in enumerate(height.tolist()):
        while open_splits and height[open_splits[-1]] < value:
            right[open_splits.pop()] = j
        if open_splits:
            left[j] = open_splits[-1]
        open_splits.append(j)
    return left, right


def evolve_sequences(
    parent: np.ndarray, length: np.ndarray, tips: np.ndarray, n_bases: int, rng: np.random.Generator
) -> np.ndarray:
    """Evolve sequences of the tips under Kimura's two-parameter model with gamma and conserved sites; all distinct.

    Args:
        parent: int32 [n], parents before children.
        length: float64 [n], substitutions per site.
        tips: int32 [n_tips].

    Returns:
        Codes of the alphabet, uint8 [n_tips, n_bases].
    """
    rate = rng.gamma(SITE_SHAPE, 1 / SITE_SHAPE, n_bases)
    rate[rng.random(n_bases) < CONSERVED] = 0.02
    level = np.zeros(len(parent), dtype=np.int64)
    for node, above in enumerate(parent[1:].tolist(), start=1):
        level[node] = level[above] + 1
    by_level = np.split(np.argsort(level, kind="stable"), np.cumsum(np.bincount(level))[:-1])
    bases = np.zeros((len(parent), n_bases), dtype=np.uint8)  # 0-3: A C G T
    bases[0] = rng.integers(0, 4, n_bases)
    for nodes in by_level[1:]:
        bases[nodes] = _mutate(bases[parent[nodes]], length[nodes, None] * rate, rng)
    return _distinct(bases[tips], rng) + np.uint8(A)


def _mutate(bases: np.ndarray, distance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mutate bases by ``distance`` expected substitutions (Kimura 1980). With A C G T as 0-3, XOR 2 is a transition."""
    slow = np.exp(-4 * distance / (TRANSITION_BIAS + 2))
    fast = np.exp(-2 * distance * (TRANSITION_BIAS + 1) / (TRANSITION_BIAS + 2))
    transition = 0.25 + 0.25 * slow - 0.5 * fast
    transversion = 0.25 - 0.25 * slow  # to each of the two bases
    draw = rng.random(distance.shape)
    change = np.where(draw < transition, 2, np.where(draw < transition + transversion, 1, 3))
    return bases ^ np.where(draw < transition + 2 * transversion, change, 0).astype(np.uint8)


def _distinct(bases: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add substitutions to tips with equal sequences, one at a time, until all are distinct."""
    while True:
        rows = np.ascontiguousarray(bases).view(f"V{bases.shape[1]}").ravel()
        _, first = np.unique(rows, return_index=True)
        again = np.setdiff1d(np.arange(len(bases)), first)
        if len(again) == 0:
            return bases
        bases[again, rng.integers(0, bases.shape[1], len(again))] ^= rng.integers(1, 4, len(again), dtype=np.uint8)

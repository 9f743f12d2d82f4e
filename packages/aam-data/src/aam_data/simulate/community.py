"""Communities of simulated studies and the reads drawn from them, block by block.

A host carries one ASV of every *niche*, a group of related ASVs. If there are as many niches as ASVs, every host can
carry all of them; with more ASVs, the work for a sample does not grow with the tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.design import StudyDesign
from aam_data.table import SampleCounts

# Standard deviations on the logit scale of incidence and on the log scale of abundance.
COMMONNESS_MEAN, COMMONNESS_SD = -6.0, 2.0
CLADE_INCIDENCE, CLADE_ABUNDANCE = 0.7, 0.6  # per standard deviation of degree-days or age, times slope and effect
LOCATION_SD, PLATE_SD, PLATE_DEPTH_SD = 0.6, 0.6, 0.3  # times their effects
HOST_CLADE_SD, HOST_ASV_SD, SAMPLE_CLADE_SD = 0.3, 3.5, 0.3
ABUNDANCE_SD, SAMPLE_ASV_SD = 1.0, 1.0
DEPTH_SD = 0.4
MAX_DEPTH = 2_000_000_000  # counts are int32
BLOCK_CELLS = 2_000_000  # samples times niches processed at once; bounds memory


@dataclass(frozen=True, eq=False)
class CladeEffects:
    """Effects on the K clades, before the strengths of the options are applied.

    Attributes:
        slope: float64 [K] response to warmth: half of the clades rise, half fall, none is indifferent.
        age_slope: float64 [K] response to the host's age, likewise.
        location: float64 [locations, K] effect of each location.
        plate: float64 [plates, K] effect of each extraction plate: every second clade is sensitive, others have 0.
        depth: float64 [plates] logarithm of the yield of each plate.
    """

    slope: np.ndarray
    age_slope: np.ndarray
    location: np.ndarray
    plate: np.ndarray
    depth: np.ndarray

    @property
    def n_clades(self) -> int:
        return len(self.slope)


def draw_effects(
    options: SimulateOptions, n_clades: int, slope_rng: np.random.Generator, rng: np.random.Generator
) -> CladeEffects:
    """Draw the effects on K clades."""
    plates = max(1, options.plates)
    sensitive = rng.permutation(n_clades) % 2 == 0
    return CladeEffects(
        _slopes(n_clades, slope_rng),
        _slopes(n_clades, rng),
        LOCATION_SD * rng.standard_normal((options.locations, n_clades)),
        PLATE_SD * rng.standard_normal((plates, n_clades)) * sensitive,
        PLATE_DEPTH_SD * rng.standard_normal(plates),
    )


def _slopes(n_clades: int, rng: np.random.Generator) -> np.ndarray:
    sign = np.where(rng.permutation(n_clades) % 2 == 0, 1.0, -1.0)
    return sign * rng.uniform(0.7, 1.3, n_clades)


@dataclass
class VarianceSums:
    """Sums over samples of the components of a clade's log abundance."""

    samples: int = 0
    sums: dict[str, np.ndarray] = field(default_factory=dict)
    squares: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, components: dict[str, np.ndarray]) -> None:
        """Add a block: component name to float64 [b, K]."""
        self.samples += len(next(iter(components.values())))
        for name, values in {**components, "total": sum(components.values(), start=np.float64(0))}.items():
            self.sums[name] = self.sums.get(name, 0.0) + values.sum(axis=0)
            self.squares[name] = self.squares.get(name, 0.0) + (values**2).sum(axis=0)

    def variances(self) -> dict[str, float]:
        """Compute the variance over samples of every component and of their sum (``total``), averaged over clades."""
        return {
            name: float(np.mean(self.squares[name] / self.samples - (self.sums[name] / self.samples) ** 2))
            for name in self.sums
        }


def draw_reads(
    options: SimulateOptions,
    design: StudyDesign,
    clade: np.ndarray,
    effects: CladeEffects,
    seeds: tuple[np.random.Generator, np.random.Generator, np.random.Generator],
    variance: VarianceSums,
) -> Iterator[SampleCounts]:
    """Yield counts of consecutive samples over all ASVs, in blocks of bounded size; no sample is empty.

    Args:
        options, design, effects: the study.
        clade: int64 [A] clade of each ASV, ascending.
        seeds: generators for the properties of ASVs, for communities and reads, and for the ASVs that hosts carry.
        variance: collects the components of each block.
    """
    asv_rng, rng, niche_rng = seeds
    n_asvs, n_hosts = len(clade), options.n_hosts
    commonness = COMMONNESS_MEAN + COMMONNESS_SD * asv_rng.standard_normal(n_asvs)
    abundance = ABUNDANCE_SD * asv_rng.standard_normal(n_asvs)
    n_niches = min(n_asvs, options.host_asvs)
    niche = np.arange(n_niches + 1) * n_asvs // n_niches  # bounds between niches
    rows_at_once = max(1, BLOCK_CELLS // n_niches)
    hosts_at_once = max(1, rows_at_once // -(-options.samples // n_hosts))
    for first in range(0, n_hosts, hosts_at_once):
        hosts = min(hosts_at_once, n_hosts - first)
        carried = niche[:-1] + (niche_rng.random((hosts, n_niches)) * np.diff(niche)).astype(np.int64)
        host_clade = HOST_CLADE_SD * rng.standard_normal((hosts, effects.n_clades))
        at_home = commonness[carried] + HOST_ASV_SD * rng.standard_normal((hosts, n_niches))
        start, end = np.searchsorted(design.host, [first, first + hosts])
        for low in range(start, end, rows_at_once):  # more than once if one host has very many samples
            rows = slice(low, min(low + rows_at_once, end))
            local = design.host[rows] - first
            asvs = carried[local]
            components = _components(options, design, effects, rows)
            components["host"] = host_clade[local]
            components["sample"] = SAMPLE_CLADE_SD * rng.standard_normal(components["host"].shape)
            variance.add(components)
            incidence, log_share = _asv_effects(components, clade[asvs])
            incidence += at_home[local]
            log_share += abundance[asvs]
            share = _draw_shares(incidence, log_share, rng)
            counts = rng.multinomial(_draw_depths(options, design, effects, rows, rng), share)
            row, column = np.nonzero(counts)
            indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(local)))])
            yield SampleCounts(indptr, asvs[row, column].astype(np.int32), counts[row, column].astype(np.int32))


def _components(
    options: SimulateOptions, design: StudyDesign, effects: CladeEffects, rows: slice
) -> dict[str, np.ndarray]:
    """Compute the systematic components of the log abundance of clades, float64 [b, K] each."""
    return {
        "environment": CLADE_ABUNDANCE * (options.effect * effects.slope) * design.warmth[rows, None],
        "age": CLADE_ABUNDANCE * (options.age_effect * effects.age_slope) * design.maturity[rows, None],
        "location": options.location_effect * effects.location[design.location[rows]],
        "plate": options.batch_effect * effects.plate[design.plate[rows]],
    }


def _asv_effects(components: dict[str, np.ndarray], clade: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pass the effects on clades to their ASVs, on the logit scale of incidence and the log scale of abundance.

    Extraction changes how many reads an ASV gets, not whether the sample has it.

    Args:
        components: components, float64 [b, K].
        clade: int64 [b, P] clade of each ASV that the sample's host carries.

    Returns:
        float64 [b, P] each.
    """
    driven = components["environment"] + components["age"]
    other = components["location"] + (components["host"] + components["sample"])
    cell = (np.arange(len(clade)) * driven.shape[1])[:, None] + clade
    incidence = (CLADE_INCIDENCE / CLADE_ABUNDANCE * driven + other).ravel()[cell]
    return incidence, (driven + other + components["plate"]).ravel()[cell]


def _draw_shares(incidence: np.ndarray, log_share: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw relative abundances of b samples, float64 [b, P]: random presence, log-normal abundance."""
    present = rng.random(incidence.shape) < 1 / (1 + np.exp(-incidence))
    present[np.arange(len(incidence)), incidence.argmax(axis=1)] = True  # no sample is empty
    log_share = log_share + SAMPLE_ASV_SD * rng.standard_normal(log_share.shape)
    share = np.exp(log_share, where=present, out=np.zeros_like(log_share))
    share /= share.sum(axis=1, keepdims=True)
    return share


def _draw_depths(
    options: SimulateOptions, design: StudyDesign, effects: CladeEffects, rows: slice, rng: np.random.Generator
) -> np.ndarray:
    """Draw the number of reads of each sample, int64 [b]: log-normal around the depth, times the plate's yield."""
    plate_yield = np.exp(options.batch_effect * effects.depth[design.plate[rows]])
    chance = np.exp(DEPTH_SD * rng.standard_normal(len(plate_yield)))
    return np.clip(np.rint(options.depth * chance * plate_yield), 1, MAX_DEPTH).astype(np.int64)

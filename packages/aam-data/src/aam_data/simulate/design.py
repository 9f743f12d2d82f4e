"""Design of simulated studies: hosts, locations, days and plates of the samples, and the targets that follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from aam_data.options.simulate import SimulateOptions

# Mean temperature, degrees Celsius; a study uses the first ones.
LOCATIONS = {
    "coast": 9.0,
    "valley": 11.0,
    "hill": 8.0,
    "plateau": 10.0,
    "lake": 9.5,
    "forest": 8.5,
    "island": 10.5,
    "canyon": 11.5,
}
SEASONS = ("winter", "spring", "summer", "autumn")
STATUSES = ("healthy", "stressed")
YEAR = 365.0
WEATHER_NOISE = 0.08  # sd of the logarithm of degree-days around their formula
STATUS_SLOPE = 3.0  # log odds of stress per standard deviation of degree-days
YOUNGEST, OLDEST = 20.0, 80.0
AGE_R2 = 0.9  # share of the variance of normal scores of age that communities can show


@dataclass(frozen=True, eq=False)
class StudyDesign:
    """B samples of H hosts, ordered by host.

    Attributes:
        host: int64 [B] host of each sample.
        location: int64 [B] index in LOCATIONS; hosts do not move.
        season: int64 [B] index in SEASONS.
        warmth: float64 [B] driver of communities: expected degree-days, scaled to mean 0 and variance 1.
        degree_days: float64 [B] the numeric target, with weather noise and two decimals.
        stress: float64 [B] probability of being stressed.
        stressed: bool [B] the class target.
        maturity: float64 [B] driver of communities by the host's age, standard normal over hosts.
        age: float64 [B] the host's age in years, one decimal.
        plate: int64 [B] extraction plate; all 0 in a study without plates.
        occupied: bool [locations, seasons] combinations in which samples were taken.
    """

    host: np.ndarray
    location: np.ndarray
    season: np.ndarray
    warmth: np.ndarray
    degree_days: np.ndarray
    stress: np.ndarray
    stressed: np.ndarray
    maturity: np.ndarray
    age: np.ndarray
    plate: np.ndarray
    occupied: np.ndarray


def host_of_samples(n_samples: int, n_hosts: int) -> np.ndarray:
    """Assign consecutive samples to hosts, int64 [B]; sizes of hosts differ by at most one."""
    return np.arange(n_samples) * n_hosts // n_samples


def design_study(
    options: SimulateOptions, rng: np.random.Generator, cell_rng: np.random.Generator, lab_rng: np.random.Generator
) -> StudyDesign:
    """Draw the design.

    Args:
        options: the options of the simulator.
        rng: generator for days, locations, weather and stress.
        cell_rng: generator for the empty combinations of location and season.
        lab_rng: generator for ages and plates.
    """
    n_samples, n_hosts = options.samples, options.n_hosts
    host = host_of_samples(n_samples, n_hosts)
    first = np.searchsorted(host, np.arange(n_hosts))
    host_size = np.bincount(host, minlength=n_hosts)[host]
    # A host's samples are spread over the year, so that the host carries no information about the day; confounding
    # shortens the part of the year in which a host is sampled.
    within = (np.arange(n_samples) - first[host] + rng.random(n_samples)) / host_size * (1 - options.host_confounding)
    day = YEAR * (within + rng.random(n_hosts)[host]) % YEAR
    location = rng.permutation(np.arange(n_hosts) % options.locations)[host]
    occupied = _occupied_cells(options, cell_rng)
    day = _move_into_cells(day, location, occupied)

    temperature = np.array(list(LOCATIONS.values()))[location]
    expected = temperature * (day - YEAR / (2 * np.pi) * np.sin(2 * np.pi * day / YEAR))
    warmth = (expected - expected.mean()) / expected.std()
    degree_days = expected * np.exp(WEATHER_NOISE * rng.standard_normal(n_samples))
    stress = 1 / (1 + np.exp(-STATUS_SLOPE * warmth))
    stressed = rng.random(n_samples) < stress
    maturity = lab_rng.standard_normal(n_hosts)
    age_score = np.sqrt(AGE_R2) * maturity + np.sqrt(1 - AGE_R2) * lab_rng.standard_normal(n_hosts)
    age = YOUNGEST + (OLDEST - YOUNGEST) * ndtr(age_score)
    return StudyDesign(
        host,
        location,
        (day / YEAR * len(SEASONS)).astype(np.int64),
        warmth,
        degree_days.round(2),
        stress,
        stressed,
        maturity[host],
        age.round(1)[host],
        _plates(options, warmth, lab_rng),
        occupied,
    )


def _occupied_cells(options: SimulateOptions, rng: np.random.Generator) -> np.ndarray:
    """Choose combinations with samples, bool [locations, seasons]; every location and every season has some."""
    shape = (options.locations, len(SEASONS))
    diagonal = np.arange(max(shape))
    kept = np.zeros(shape, dtype=bool)
    kept[rng.permutation(shape[0])[diagonal % shape[0]], rng.permutation(shape[1])[diagonal % shape[1]]] = True
    spare = rng.permutation(np.flatnonzero(~kept))
    occupied = np.ones(shape, dtype=bool)
    occupied.ravel()[spare[: options.empty_cells]] = False
    return occupied


def _move_into_cells(day: np.ndarray, location: np.ndarray, occupied: np.ndarray) -> np.ndarray:
    """Squeeze the year of locations with fewer seasons into those; other days do not change."""
    n_seasons = occupied.sum(axis=1)
    seasons = np.argsort(~occupied, axis=1, kind="stable")  # occupied ones first, in order
    position = day / YEAR * n_seasons[location]
    whole = np.minimum(position.astype(np.int64), n_seasons[location] - 1)
    squeezed = YEAR / len(SEASONS) * (seasons[location, whole] + np.minimum(position - whole, 1 - 1e-9))
    return np.where((n_seasons == len(SEASONS))[location], day, squeezed)


def _plates(options: SimulateOptions, warmth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fill plates of equal size, int64 [B], in an order whose correlation with warmth is the confounding."""
    share = options.plate_confounding
    order = share * warmth + np.sqrt(1 - share**2) * rng.standard_normal(len(warmth))
    plate = np.empty(len(order), dtype=np.int64)
    plate[np.argsort(order, kind="stable")] = np.arange(len(order)) * max(1, options.plates) // len(order)
    return plate

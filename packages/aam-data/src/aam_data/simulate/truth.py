"""Content of truth.json: the effects of a simulated study, their strengths, and the best scores that can be reached."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.community import CLADE_ABUNDANCE, CLADE_INCIDENCE, CladeEffects, VarianceSums
from aam_data.simulate.design import (
    AGE_R2,
    LOCATIONS,
    OLDEST,
    SEASONS,
    STATUS_SLOPE,
    WEATHER_NOISE,
    YOUNGEST,
    StudyDesign,
)
from aam_data.simulate.metadata import SimulatedMetadata, spellings

_FORMULAS = {
    "expected_degree_days": "t * (day - 365 / (2 pi) * sin(2 pi day / 365)), t = mean temperature of the location",
    "degree_days": f"expected_degree_days * exp({WEATHER_NOISE} z), z standard normal",
    "warmth": "expected_degree_days, centred and scaled to variance 1 over the study's samples",
    "status": f"stressed with probability 1 / (1 + exp(-{STATUS_SLOPE:g} warmth))",
    "maturity": "standard normal, one value a host",
    "age": f"{YOUNGEST:g} + {OLDEST - YOUNGEST:g} Phi(sqrt({AGE_R2}) maturity + sqrt({1 - AGE_R2:.2g}) z)",
    "incidence": f"logit p = commonness + {CLADE_INCIDENCE} (effect slope warmth + age_effect age_slope maturity) "
    "+ location, host, clade and ASV effects",
    "abundance": f"log a = mean + {CLADE_ABUNDANCE} (effect slope warmth + age_effect age_slope maturity) "
    "+ location, plate, host, clade and ASV effects",
    "r2_ceiling": "R2 of a linear fit on what drives the communities (warmth, maturity); 0 where its effect is 0",
    "variance_between": "share of the target's variance between the groups: R2 of someone who knows the group alone",
    "community": "variance over samples of each part of the log abundance of a clade as a share of the whole's, "
    "means over clades; shares add up to 1 where the parts are uncorrelated",
}


def study_truth(
    options: SimulateOptions,
    design: StudyDesign,
    effects: CladeEffects,
    metadata: SimulatedMetadata,
    clades: list[list[str]],
    variance: VarianceSums,
    observed_asvs: int,
) -> dict[str, Any]:
    """Return the content of truth.json.

    Args:
        options, design, effects, metadata, variance: the study.
        clades: names of the ASVs of each clade.
        observed_asvs: number of ASVs with reads in any sample.
    """
    groups = {"host": design.host, "location": design.location, "season": design.season}
    if options.plates:
        groups["plate"] = design.plate
    truth: dict[str, Any] = {
        "options": asdict(options) | {"hosts": options.n_hosts},
        "formulas": _FORMULAS,
        "clades": [
            {
                "slope": round(float(effects.slope[k]), 6),
                "age_slope": round(float(effects.age_slope[k]), 6),
                "sensitive_to_extraction": bool(effects.plate[:, k].any()),
                "asvs": names,
            }
            for k, names in enumerate(clades)
        ],
        "community": _shares(variance),
        "samples_in_cells": _cells(design),
        "degree_days": _target(design.degree_days, design.warmth, options.effect, groups),
        "age": _target(design.age, design.maturity, options.age_effect, groups),
        "status": _status(design, options.effect, groups),
        "observed_asvs": observed_asvs,
    }
    if options.plates:
        truth["plates"] = {
            "samples": np.bincount(design.plate, minlength=options.plates).tolist(),
            "yield": np.exp(options.batch_effect * effects.depth).round(6).tolist(),
        }
    if metadata.gaps:
        truth["missing"] = {
            name: {"values": int((gap >= 0).sum()), "spellings": list(spellings(name))}
            for name, gap in metadata.gaps.items()
        }
    return truth


def _shares(variance: VarianceSums) -> dict[str, float]:
    variances = variance.variances()
    total = variances.pop("total")
    return {name: value / total for name, value in variances.items()}


def _cells(design: StudyDesign) -> dict[str, dict[str, int]]:
    """Count samples by location and season, including empty combinations."""
    counts = np.zeros(design.occupied.shape, dtype=np.int64)
    np.add.at(counts, (design.location, design.season), 1)
    locations = list(LOCATIONS)[: len(counts)]
    return {
        location: {season: int(count) for season, count in zip(SEASONS, row, strict=True)}
        for location, row in zip(locations, counts, strict=True)
    }


def _target(target: np.ndarray, driver: np.ndarray, effect: float, groups: dict[str, np.ndarray]) -> dict[str, Any]:
    """Describe a numeric target: its noise, and the R2 of exact knowledge of what drives the communities."""
    slope, intercept = np.polyfit(driver, target, 1)
    noise = target - (intercept + slope * driver)
    return {
        "mean": float(target.mean()),
        "sd": float(target.std()),
        "noise_sd": float(noise.std()),
        "r2_ceiling": float(1 - noise.var() / target.var()) if effect else 0.0,
        "variance_between": {name: variance_between(target, group) for name, group in groups.items()},
    }


def _status(design: StudyDesign, effect: float, groups: dict[str, np.ndarray]) -> dict[str, Any]:
    """Describe the status: the accuracy of knowing the probability of stress or, without effect, only the shares."""
    share = float(design.stressed.mean())
    best = np.maximum(design.stress, 1 - design.stress).mean() if effect else max(share, 1 - share)
    stressed = design.stressed.astype(np.float64)
    return {
        "stressed": share,
        "accuracy_ceiling": float(best),
        "variance_between": {name: variance_between(stressed, group) for name, group in groups.items()},
    }


def variance_between(values: np.ndarray, group: np.ndarray) -> float:
    """Compute the share of the variance of [B] values between groups (eta squared); 0 for constant values."""
    size = np.maximum(np.bincount(group), 1)
    mean = np.bincount(group, weights=values) / size
    total = values.var()
    return float(((mean[group] - values.mean()) ** 2).mean() / total) if total > 0 else 0.0

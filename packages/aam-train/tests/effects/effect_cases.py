"""The effect that each part of conditioning is for, and the same model without that part: figures by name.

Each case takes a folder and a seed, makes a study, trains two or three models on the same split and judges them on
samples that they did not see.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.options.samples import SplitOptions
from aam_train.options.objective import TrainObjective

from .known_effects import categories, column, fit, judge, settings, write_study

Figures = dict[str, float]
NOISE = 0.1


def shift(folder: Path, seed: int, samples: int = 300) -> Figures:
    """y = 2 share + (-2, 0, 2) by location. R2 without it can be at most 0.11."""
    random = np.random.default_rng(seed)
    share, location = random.uniform(size=samples), random.integers(3, size=samples)
    y = 2 * share + np.array([-2.0, 0.0, 2.0])[location] + NOISE * random.normal(size=samples)
    study = write_study(folder / "study", share, {"location": names("L", location), "y": y.round(4)}, seed)
    found = {"r2_without": judge(fit(settings(study, folder / "without")), study).r2()}
    run = fit(settings(study, folder / "with", **categories("location")))
    results = json.loads((run / "report" / "results.json").read_text())["targets"]["y"]
    others = {f"r2_{name}": results[name]["r2"] for name in ("random_forest", "metadata_forest")}
    return {**found, "r2_with": judge(run, study).r2(), **others}


def covariate(folder: Path, seed: int, samples: int = 300) -> Figures:
    """y = 2 share + z with a number z that every fifth sample misses; R2 of those that have it, and of the others."""
    random = np.random.default_rng(seed)
    share, z = random.uniform(size=samples), random.normal(size=samples)
    y = 2 * share + z + NOISE * random.normal(size=samples)
    missing = random.uniform(size=samples) < 0.2
    texts = ["" if gone else f"{value:.4f}" for gone, value in zip(missing, 7 + 3 * z, strict=True)]
    study = write_study(folder / "study", share, {"z": texts, "y": y.round(4)}, seed)
    found = {}
    for name, numeric in (("without", ()), ("with", ("z",))):
        judged = judge(fit(settings(study, folder / name, category=CategoryOptions((), numeric))), study)
        known = column(study, "z", judged.ids) != ""
        found |= {f"r2_{name}": judged.r2(known), f"r2_{name}_where_missing": judged.r2(~known)}
    return found


def batch_effect(folder: Path, seed: int, samples: int = 300) -> Figures:
    """A protocol, drawn by lot, hides half of the first clade: y = share, what is seen is share or half of it.

    The protocol tells nothing of y on its own, and a model that is given it can undo what it does.
    """
    random = np.random.default_rng(seed)
    share, protocol = random.uniform(size=samples), random.integers(2, size=samples)
    seen = share * 0.5 + 0.5 * protocol
    y = share + 0.02 * random.normal(size=samples)
    study = write_study(folder / "study", seen, {"protocol": names("P", protocol), "y": y.round(4)}, seed)
    found = {"r2_without": judge(fit(settings(study, folder / "without")), study).r2()}
    run = fit(settings(study, folder / "with", **categories("protocol")))
    results = json.loads((run / "report" / "results.json").read_text())["targets"]["y"]
    return {**found, "r2_with": judge(run, study).r2(), "r2_metadata_forest": results["metadata_forest"]["r2"]}


def confounded(folder: Path, seed: int, samples: int = 300) -> Figures:
    """y = share, and the site follows it: y + 0.05 noise, cut into 6. In a new study sites are drawn by lot."""
    random = np.random.default_rng(seed)
    share = random.uniform(size=samples)
    y = share + 0.15 * random.normal(size=samples)
    site = np.clip(np.floor(6 * (y + 0.05 * random.normal(size=samples))), 0, 5).astype(int)
    study = write_study(folder / "study", share, {"site": names("S", site), "y": y.round(4)}, seed)
    by_lot = write_study(folder / "new", share, {"site": names("S", random.permutation(site)), "y": y.round(4)}, seed)
    found = {}
    for name, sections in (("without", {}), ("with", categories("site"))):
        run = fit(settings(study, folder / name, **sections))
        found[f"r2_{name}"] = judge(run, study).r2()
        found[f"r2_{name}_in_new_study"] = judge(run, by_lot, output=folder / f"{name}.tsv").r2()
    results = json.loads((folder / "with" / "report" / "results.json").read_text())["targets"]["y"]
    return {**found, "r2_metadata_forest": results["metadata_forest"]["r2"]}


def hierarchy(folder: Path, seed: int, samples: int = 300) -> Figures:
    """y = 2 share + an effect of the state + a small one of the city; 60 cities in 6 states, a third of them new.

    R2 in cities that no training sample has, of samples whose state is known.
    """
    random = np.random.default_rng(seed)
    share, city = random.uniform(size=samples), random.integers(60, size=samples)
    state = city % 6
    effect = np.linspace(-3, 3, 6)[state] + 0.3 * random.normal(size=60)[city]
    y = 2 * share + effect + NOISE * random.normal(size=samples)
    columns = {"city": names("C", city), "state": names("S", state), "y": y.round(4)}
    study = write_study(folder / "study", share, columns, seed)
    lists = {"train": city < 36, "val": (city >= 36) & (city < 40), "test": city >= 40}
    for name, chosen in lists.items():
        (folder / f"{name}.txt").write_text("".join(f"s{i:04}\n" for i in np.flatnonzero(chosen)))
    split = SplitOptions(**{f"{name}_samples": folder / f"{name}.txt" for name in lists})
    found = {}
    for name, sections in (
        ("city", categories("city")),
        ("city_and_state", categories("city,state")),
        ("hierarchy", categories("city,state", categorical_hierarchy='{"city": "state"}')),
    ):
        found[f"r2_{name}"] = judge(fit(settings(study, folder / name, split=split, **sections)), study).r2()
    return found


def loss_weights(folder: Path, seed: int, samples: int = 300) -> Figures:
    """y = 2 share + 3 in every tenth sample, of a kind that the model is not told.

    Squared errors are least at the mean: 0.3 above the common kind without weights, 1.5 with equal ones. So mean
    absolute errors in the rare kind are 2.7 and 1.5, in the common one 0.3 and 1.5.
    """
    random = np.random.default_rng(seed)
    share, rare = random.uniform(size=samples), np.arange(samples) % 10 == 0
    y = 2 * share + 3 * rare + NOISE * random.normal(size=samples)
    study = write_study(folder / "study", share, {"kind": np.where(rare, "rare", "common"), "y": y.round(4)}, seed)
    found = {}
    for name, weights in (("without", None), ("auto", "auto"), ("effective", "effective"), ("manual", '{"rare": 9}')):
        column_of = None if weights is None else "kind"
        category = CategoryOptions(categorical_loss_weights=weights, categorical_loss_weight_column=column_of)
        config = settings(study, folder / name, category=category, objective=TrainObjective(loss_type="mse"))
        judged = judge(fit(config), study)
        is_rare = column(study, "kind", judged.ids) == "rare"
        found |= {f"mae_rare_{name}": judged.mae(is_rare), f"mae_common_{name}": judged.mae(~is_rare)}
    return found


CASES: dict[str, Callable[[Path, int], Figures]] = {
    "shift": shift,
    "covariate": covariate,
    "batch_effect": batch_effect,
    "confounded": confounded,
    "hierarchy": hierarchy,
    "loss_weights": loss_weights,
}


def names(letter: str, codes: np.ndarray) -> list[str]:
    """Names of categories."""
    return [f"{letter}{code}" for code in codes]

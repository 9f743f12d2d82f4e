"""Every effect of the options is in the files, as strong as in truth.json, measured independently."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare, spearmanr
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score

from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.study import SimulatedStudy, simulate_study


def clade_logs(study: SimulatedStudy) -> np.ndarray:
    """Compute centred logarithms of the shares of clades, [B, K]."""
    clade = {name: number for number, entry in enumerate(study.truth["clades"]) for name in entry["asvs"]}
    column = np.array([clade[name] for name in study.table.feature_ids])[study.table.data.indices]
    row = np.repeat(np.arange(study.table.n_samples), study.table.features_per_sample())
    reads = np.zeros((study.table.n_samples, len(study.truth["clades"])))
    np.add.at(reads, (row, column), study.table.data.counts)
    logs = np.log(reads + 1)
    return logs - logs.mean(axis=1, keepdims=True)


def between(values: np.ndarray, groups: pd.Series) -> float:
    """Compute eta squared by analysis of variance: sum of squares between groups over the total."""
    frame = pd.DataFrame({"value": np.asarray(values, dtype=float), "group": groups.to_numpy()})
    by_group = frame.groupby("group")["value"]
    within = (by_group.var(ddof=0) * by_group.size()).sum()
    return float(1 - within / (frame["value"].var(ddof=0) * len(frame)))


def held_out_r2(study: SimulatedStudy, target: str) -> float:
    """Compute the R2 of a ridge on clades for held-out hosts."""
    logs, values, host = clade_logs(study), study.metadata[target].to_numpy(), study.metadata["host"].to_numpy()
    held_out = np.isin(host, np.unique(host)[::3])
    ridge = RidgeCV(np.logspace(-2, 4, 13)).fit(logs[~held_out], values[~held_out])
    return r2_score(values[held_out], ridge.predict(logs[held_out]))


def test_shares_of_variance_between_groups_are_those_of_the_files() -> None:
    options = SimulateOptions(samples=600, plates=7, plate_confounding=0.5, host_confounding=0.6, locations=6)
    study = simulate_study(options)
    metadata = study.metadata.assign(status=(study.metadata["status"] == "stressed").astype(float))
    for target in ("degree_days", "age", "status"):
        truth = study.truth[target]["variance_between"]
        assert list(truth) == ["host", "location", "season", "plate"]
        for column, share in truth.items():
            assert share == pytest.approx(between(metadata[target], metadata[column]), abs=1e-9)


def test_without_further_effects_plates_ages_and_locations_leave_no_trace() -> None:
    study = simulate_study(SimulateOptions(samples=800, plates=5))
    logs, metadata = clade_logs(study), study.metadata
    chance = (5 - 1) / (800 - 1)
    assert np.mean([between(log, metadata["plate"]) for log in logs.T]) < 3 * chance
    assert between(np.log(metadata["depth"]), metadata["plate"]) < 5 * chance
    assert held_out_r2(study, "age") < 0.05
    assert study.truth["age"]["r2_ceiling"] == 0
    shares = study.truth["community"]
    assert shares["age"] == shares["location"] == shares["plate"] == 0
    assert sum(shares.values()) == pytest.approx(1, abs=0.03)


def test_shares_of_the_community_follow_from_the_strengths() -> None:
    """With slopes s and unit variances: 0.36 effect^2 s^2 against 0.09 for hosts and 0.09 for samples."""
    options = SimulateOptions(samples=2000, effect=2, age_effect=0.5, location_effect=1, plates=200, batch_effect=1)
    truth = simulate_study(options).truth
    slope, age_slope = (np.array([clade[name] for clade in truth["clades"]]) for name in ("slope", "age_slope"))
    sensitive = np.array([clade["sensitive_to_extraction"] for clade in truth["clades"]])
    assert sensitive.mean() == 0.5
    parts = {
        "environment": 0.36 * 4 * np.mean(slope**2),
        "age": 0.36 * 0.25 * np.mean(age_slope**2),
        "plate": 0.36 * sensitive.mean(),
        "host": 0.09,
        "sample": 0.09,
    }
    total = parts["sample"] / truth["community"]["sample"]
    for name, variance in parts.items():
        assert truth["community"][name] * total == pytest.approx(variance, rel=0.15), name
    assert sum(truth["community"].values()) == pytest.approx(1, abs=0.05)


def test_plates_move_sensitive_clades_and_depths() -> None:
    study = simulate_study(SimulateOptions(samples=1000, plates=8, batch_effect=2, effect=0))
    metadata, truth = study.metadata, study.truth
    sensitive = np.array([clade["sensitive_to_extraction"] for clade in truth["clades"]])
    share = np.array([between(log, metadata["plate"]) for log in clade_logs(study).T])
    assert share[sensitive].mean() > 0.2
    assert share[sensitive].mean() > 3 * share[~sensitive].mean()
    assert metadata["plate"].value_counts().tolist() == truth["plates"]["samples"] == [125] * 8
    measured = np.log(metadata["depth"]).groupby(metadata["plate"]).mean()
    expected = np.log(5000 * np.array(truth["plates"]["yield"]))
    np.testing.assert_allclose(measured.to_numpy(), expected, atol=4 * 0.4 / np.sqrt(125))
    assert np.corrcoef(measured, expected)[0, 1] > 0.98


def test_extraction_does_not_change_which_asvs_are_there() -> None:
    """At a depth that sees everything, richness is the same with and without the effect."""
    plain, shifted = (
        simulate_study(SimulateOptions(samples=200, depth=10**8, plates=2, batch_effect=effect)) for effect in (0, 1)
    )
    assert np.corrcoef(plain.table.features_per_sample(), shifted.table.features_per_sample())[0, 1] > 0.999


def test_the_age_of_a_host_is_in_its_community() -> None:
    study = simulate_study(SimulateOptions(samples=600, age_effect=1.5))
    age = study.metadata["age"]
    assert (age.groupby(study.metadata["host"]).nunique() == 1).all()
    assert age.between(20, 80).all()
    assert 15 < age.std() < 20  # nearly uniform: 60 / sqrt(12) = 17.3
    truth = study.truth["age"]
    assert truth["variance_between"]["host"] == pytest.approx(1)
    assert 0.8 < truth["r2_ceiling"] < 0.92
    assert 0.4 < held_out_r2(study, "age") < truth["r2_ceiling"]


def test_locations_differ_when_asked_to() -> None:
    shares = []
    for effect in (0, 2):
        study = simulate_study(SimulateOptions(samples=600, locations=8, location_effect=effect))
        assert study.metadata["location"].nunique() == 8
        shares.append(np.mean([between(log, study.metadata["location"]) for log in clade_logs(study).T]))
    assert shares[0] < 0.1
    assert shares[1] > 0.3


@pytest.mark.parametrize(("confounding", "low", "high"), [(0, 0, 0.3), (0.8, 0.7, 0.97), (1, 0.97, 1)])
def test_hosts_tell_the_season_as_far_as_asked(confounding: float, low: float, high: float) -> None:
    study = simulate_study(SimulateOptions(samples=800, hosts=100, host_confounding=confounding))
    in_season = between(study.metadata["degree_days"], study.metadata["host"])
    assert low <= in_season <= high
    assert study.truth["degree_days"]["variance_between"]["host"] == pytest.approx(in_season)


@pytest.mark.parametrize("confounding", [0, 0.5, 1])
def test_plates_tell_the_target_as_far_as_asked(confounding: float) -> None:
    study = simulate_study(SimulateOptions(samples=2000, plates=40, plate_confounding=confounding))
    plate = study.metadata["plate"].str[1:].astype(int)
    correlation = spearmanr(plate, study.metadata["degree_days"]).statistic
    assert correlation == pytest.approx(confounding, abs=0.08)
    chance = (40 - 1) / (2000 - 1)
    assert study.truth["degree_days"]["variance_between"]["plate"] == pytest.approx(
        confounding**2 + (1 - confounding**2) * chance, abs=0.08
    )


@pytest.mark.parametrize(("locations", "missing"), [(4, 0), (4, 0.25), (4, 0.75), (7, 0.5), (2, 0.5), (1, 0)])
def test_cells_of_the_factorial(locations: int, missing: float) -> None:
    options = SimulateOptions(samples=4000, hosts=500, asvs=8, locations=locations, missing_cells=missing)
    study = simulate_study(options)
    counts = pd.crosstab(study.metadata["location"], study.metadata["season"])
    assert counts.shape == (locations, 4)  # no location and no season is lost
    truth = pd.DataFrame(study.truth["samples_in_cells"]).T.loc[counts.index, counts.columns]
    pd.testing.assert_frame_equal(truth, counts, check_names=False)
    assert (counts == 0).to_numpy().sum() == round(missing * 4 * locations)
    for _, row in counts.iterrows():
        seasons = row[row > 0]  # equally frequent
        assert len(seasons) == 1 or chisquare(seasons).pvalue > 0.01
    assert study.truth["degree_days"]["r2_ceiling"] > 0.9


def test_a_host_carries_one_asv_of_each_niche() -> None:
    options = SimulateOptions(samples=600, asvs=1000, hosts=60, host_asvs=90)
    study = simulate_study(options)
    bounds = np.arange(91) * 1000 // 90
    niche = {name: int(np.searchsorted(bounds, i, side="right")) - 1 for i, name in enumerate(study.tree.tip_names)}
    data = study.table.data
    host = np.repeat(study.metadata["host"].to_numpy(), study.table.features_per_sample())
    found = pd.DataFrame({"host": host, "asv": data.indices}).drop_duplicates()
    found["niche"] = [niche[study.table.feature_ids[asv]] for asv in found["asv"]]
    assert (found.groupby(["host", "niche"]).size() == 1).all()
    occupied = found.groupby("niche")["asv"].nunique()
    assert occupied.max() <= 12
    assert occupied.mean() > 6  # hosts differ in what they carry
    assert held_out_r2(study, "degree_days") > 0.4


def test_hosts_stay_themselves_across_blocks() -> None:
    """Host 1 has 6,000 samples, a block 5,000; samples after that are of host 2."""
    study = simulate_study(SimulateOptions(samples=12000, hosts=2, asvs=400, depth=500, bases=40))
    data, lengths = study.table.data, study.table.features_per_sample()
    sample = np.repeat(np.arange(12000), lengths)
    first, last, other = (
        np.bincount(data.indices[(sample >= low) & (sample < low + 1000)], minlength=study.table.n_features)
        for low in (0, 5000, 6000)
    )
    assert np.corrcoef(first, last)[0, 1] > 0.9  # not in the same season
    assert np.corrcoef(first, other)[0, 1] < 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"missing_cells": 0.8}, "--missing-cells 0.8: must be between 0 and 0.75 with --locations 4"),
        ({"missing_cells": -0.01}, "--missing-cells"),
        ({"missing_cells": float("nan")}, "--missing-cells"),
        ({"missing_cells": 0.1, "locations": 1, "samples": 40}, None),  # rounds to no cell
        ({"missing_cells": 0.25, "locations": 1}, "--missing-cells"),
        ({"batch_effect": 1}, "need --plates"),
        ({"plate_confounding": 1}, "need --plates"),
        ({"plates": 1}, "--plates 1"),
        ({"plates": 161}, "--plates 161"),
        ({"locations": 9}, "--locations 9"),
        ({"host_confounding": 1.1}, "--host-confounding 1.1"),
        ({"age_effect": -1}, "--age-effect -1"),
        ({"missing_metadata": 1}, "--missing-metadata 1"),
        ({"host_asvs": 7}, "--host-asvs 7"),
        ({"hosts": 161}, "--hosts 161"),
    ],
)
def test_options_out_of_range_are_rejected(options: dict[str, float], message: str | None) -> None:
    if message is None:
        assert SimulateOptions(**options).empty_cells == 0
        return
    with pytest.raises(ValueError, match=message):
        SimulateOptions(**options)

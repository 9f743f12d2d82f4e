"""The simulated study agrees with truth.json, and the target is neither trivial nor noise."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import skbio
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score

from aam_data.alphabet import encode
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.simulate.design import LOCATIONS
from aam_data.simulate.study import SimulatedStudy, simulate_study, write_simulated_study
from aam_data.simulate.tree import TRANSITION_BIAS, evolve_sequences, random_tree
from aam_data.study.study import read_study


@pytest.fixture(scope="module")
def study() -> SimulatedStudy:
    return simulate_study(SimulateOptions())


def shares(study: SimulatedStudy) -> np.ndarray:
    """Compute relative abundances, [B, A]."""
    table = study.table
    dense = np.zeros((table.n_samples, table.n_features))
    dense[np.repeat(np.arange(table.n_samples), table.features_per_sample()), table.data.indices] = table.data.counts
    return dense / dense.sum(axis=1, keepdims=True)


def clades_of_features(study: SimulatedStudy) -> np.ndarray:
    clade = {name: number for number, entry in enumerate(study.truth["clades"]) for name in entry["asvs"]}
    return np.array([clade[name] for name in study.table.feature_ids])


def held_out_r2(study: SimulatedStudy) -> tuple[float, float]:
    """Compute R2 on held-out hosts: a forest on ASVs, a ridge on clades."""
    features, clade = shares(study), clades_of_features(study)
    in_clades = np.log(features @ (clade[:, None] == np.unique(clade)) + 1e-3)
    target = study.metadata["degree_days"].to_numpy()
    hosts = study.metadata["host"].to_numpy()
    held_out = np.isin(hosts, np.unique(hosts)[::5])
    forest = RandomForestRegressor(100, max_features="sqrt", random_state=0)
    ridge = RidgeCV(np.logspace(-2, 4, 13))
    forest.fit(features[~held_out], target[~held_out])
    ridge.fit(in_clades[~held_out], target[~held_out])
    return (
        r2_score(target[held_out], forest.predict(features[held_out])),
        r2_score(target[held_out], ridge.predict(in_clades[held_out])),
    )


def test_the_same_options_give_the_same_files(tmp_path: Path) -> None:
    options = SimulateOptions(samples=20, asvs=40, hosts=5)
    for name in ("a", "b"):
        write_simulated_study(simulate_study(options), tmp_path / name)
    names = {"table.biom", "tree.nwk", "rep-seqs.fasta", "metadata.tsv", "truth.json"}
    assert {file.name for file in (tmp_path / "a").iterdir()} == names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_another_seed_gives_another_study(study: SimulatedStudy) -> None:
    other = simulate_study(SimulateOptions(seed=43))
    assert set(other.table.feature_ids).isdisjoint(study.table.feature_ids)
    assert not np.array_equal(other.metadata["degree_days"], study.metadata["degree_days"])


def test_written_files_are_the_study(study: SimulatedStudy, tmp_path: Path) -> None:
    write_simulated_study(study, tmp_path)
    again = read_study(
        TableOptions(table=tmp_path / "table.biom", sequences=tmp_path / "rep-seqs.fasta"),
        MetadataOptions(metadata=tmp_path / "metadata.tsv"),
        PhylogenyOptions(tree=tmp_path / "tree.nwk"),
    )
    assert again.table.sample_ids.tolist() == study.table.sample_ids.tolist()
    assert set(again.table.feature_ids) == set(study.table.feature_ids)
    assert again.table.is_integer
    assert again.table.depths().tolist() == study.metadata["depth"].tolist() == study.table.depths().tolist()
    assert again.phylogeny is not None
    assert (again.phylogeny.feature_tip >= 0).all()
    assert json.loads((tmp_path / "truth.json").read_text()) == json.loads(json.dumps(study.truth))
    header = (tmp_path / "metadata.tsv").read_text().splitlines()[0]
    assert header == "sample-id\thost\tlocation\tseason\tdegree_days\tstatus\tage\tdepth"
    tree = skbio.TreeNode.read(io.StringIO((tmp_path / "tree.nwk").read_text()))
    assert tree.count(tips=True) == 400
    assert all(len(node.children) == 2 for node in tree.non_tips(include_self=True))


def test_the_target_follows_its_formula(study: SimulatedStudy) -> None:
    metadata, truth = study.metadata, study.truth["degree_days"]
    target = metadata["degree_days"].to_numpy()
    assert target.min() >= 0
    assert truth["sd"] == pytest.approx(target.std())
    assert truth["r2_ceiling"] == pytest.approx(1 - truth["noise_sd"] ** 2 / truth["sd"] ** 2)
    assert 0.95 < truth["r2_ceiling"] < 1
    temperature = metadata["location"].map(LOCATIONS).to_numpy()
    in_days = target / temperature  # between 0 and 365, apart from 8 % of noise
    assert in_days.max() < 365 * np.exp(5 * 0.08)
    bounds = {"winter": (0, 34), "spring": (33, 183), "summer": (182, 333), "autumn": (332, 366)}
    # Days 91, 182.5 and 274 in day - 365 / (2 pi) sin(2 pi day / 365).
    for season, (low, high) in bounds.items():
        inside = in_days[metadata["season"] == season]
        assert low * np.exp(-5 * 0.08) <= inside.min()
        assert inside.max() <= high * np.exp(5 * 0.08)


def test_hosts_do_not_give_the_target_away(study: SimulatedStudy) -> None:
    by_host = study.metadata.groupby("host")["degree_days"]
    assert (by_host.size() == 4).all()
    assert by_host.mean().var() < 0.2 * study.metadata["degree_days"].var()
    assert (study.metadata.groupby("host")["location"].nunique() == 1).all()
    assert study.metadata.groupby("host")["season"].nunique().min() >= 2


def test_both_classes_are_common_and_follow_the_environment(study: SimulatedStudy) -> None:
    stressed = study.metadata["status"] == "stressed"
    assert 0.3 < stressed.mean() < 0.7
    target = study.metadata["degree_days"]
    assert target[stressed].median() > 2 * target[~stressed].median()


def test_most_asvs_are_rare(study: SimulatedStudy) -> None:
    prevalence = (shares(study) > 0).mean(axis=0)
    everywhere = np.concatenate([prevalence, np.zeros(400 - len(prevalence))])
    assert 0.55 < (everywhere < 0.1).mean() < 0.8
    assert prevalence.min() > 0
    assert 20 < np.median(study.table.features_per_sample()) < 60


def test_relatives_look_alike_and_none_are_equal(study: SimulatedStudy) -> None:
    codes = np.stack([encode(name.encode()) for name in study.tree.tip_names])
    assert codes.shape == (400, 100)
    differences = (codes[:, None] != codes).sum(axis=2) + 1000 * np.eye(400, dtype=int)
    assert differences.min() >= 1
    assert 1 <= np.median(differences.min(axis=1)) <= 5
    clade = {name: number for number, entry in enumerate(study.truth["clades"]) for name in entry["asvs"]}
    of_tip = np.array([clade[name] for name in study.tree.tip_names])
    same = of_tip[:, None] == of_tip
    assert np.median(differences[same & (differences < 1000)]) < 0.6 * np.median(differences[~same])


def test_substitutions_follow_kimura() -> None:
    """A star of long branches: transitions and transversions in the proportion of K80 (conserved sites aside)."""
    n_tips, distance = 4000, 0.3
    parent = np.zeros(n_tips + 1, dtype=np.int32)
    parent[0] = -1
    length = np.full(n_tips + 1, distance)
    tips = np.arange(1, n_tips + 1, dtype=np.int32)
    rng = np.random.default_rng(0)
    codes = evolve_sequences(parent, length, tips, 200, rng).astype(np.int64) - 1
    ancestor = np.array([np.bincount(site, minlength=4).argmax() for site in codes.T])
    change = codes ^ ancestor
    transitions, transversions = (change == 2).mean(axis=0), ((change == 1) | (change == 3)).mean(axis=0)
    # Per site, both follow from one unknown rate: e^(-4d/(k+2)) = 1 - 2 Q, e^(-2d(k+1)/(k+2)) its power (k+1)/2.
    slow = 1 - 2 * transversions
    clear = slow > 0.3  # not saturated, so the commonest base is the ancestor's
    expected = 0.25 + 0.25 * slow - 0.5 * slow ** ((TRANSITION_BIAS + 1) / 2)
    assert clear.sum() > 150
    np.testing.assert_allclose(transitions[clear], expected[clear], atol=0.04)


def test_random_tree_is_binary_and_its_clades_are_clades() -> None:
    parent, length, tips, clade = random_tree(300, 7, np.random.default_rng(5))
    assert len(parent) == 599
    assert (np.bincount(parent[1:])[np.setdiff1d(np.arange(599), tips)] == 2).all()
    assert (parent[1:] < np.arange(1, 599)).all()
    assert length[0] == 0
    assert (length >= 0).all()
    below = [set() for _ in parent]
    for number, tip in enumerate(tips.tolist()):
        while tip >= 0:
            below[tip].add(number)
            tip = int(parent[tip])
    for number in range(7):
        assert set(np.flatnonzero(clade == number).tolist()) in below
    assert np.bincount(clade).min() > 10


def test_the_task_is_neither_trivial_nor_noise(study: SimulatedStudy) -> None:
    forest, ridge = held_out_r2(study)
    assert 0.3 < forest < 0.9
    assert ridge > 0.7
    forest, ridge = held_out_r2(simulate_study(SimulateOptions(effect=0)))
    assert forest < 0.2
    assert ridge < 0.2


@pytest.mark.parametrize(
    "options",
    [
        SimulateOptions(samples=4, asvs=8, hosts=2, bases=30, depth=1),
        SimulateOptions(samples=7, asvs=9, hosts=7, bases=2000),
        SimulateOptions(samples=50, asvs=100, hosts=3, effect=100),
        SimulateOptions(samples=3000, asvs=2000, hosts=100, bases=50, host_asvs=1000),  # more than one block
        SimulateOptions(
            samples=9, asvs=12, hosts=2, host_asvs=8, locations=1, plates=9, batch_effect=10, age_effect=10
        ),
    ],
)
def test_extreme_options(options: SimulateOptions) -> None:
    study = simulate_study(options)
    data = study.table.data
    assert study.table.n_samples == len(study.metadata) == options.samples
    assert study.metadata["host"].nunique() == options.n_hosts
    assert study.table.depths().min() >= 1
    assert data.counts.min() >= 1
    within = np.diff(data.indices)[np.setdiff1d(np.arange(len(data.indices) - 1), data.indptr[1:-1] - 1)]
    assert (within > 0).all()  # features ascend in every sample
    assert len(set(study.tree.tip_names)) == options.asvs
    assert {len(name) for name in study.tree.tip_names} == {options.bases}

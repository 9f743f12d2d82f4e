"""`aam rf-baseline`: scikit-learn's forest, and the forest of a run to the last digit."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.options.samples import SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.study.study import Study
from aam_train.baselines import random_forest as forest_module
from aam_train.baselines.protocol import relative_abundances
from aam_train.baselines.random_forest import ForestOptions, forest_bytes, too_large
from aam_train.errors import TrainError
from aam_train.options.commands import BaselineOptions
from aam_train.options.objective import TrainObjective
from aam_train.options.recipe_configs import BaselineConfig
from aam_train.options.run import TransferOptions
from aam_train.recipes.random_forest import random_forest_baseline
from aam_train.recipes.train import train

Run = tuple[Any, Path]
Configs = Callable[..., Any]
TREES = 20  # as in the runs of the tests


def rows_of(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines, "excel-tab"))


def numbers(file: Path) -> tuple[list[str], np.ndarray]:
    rows = rows_of(file)[1:]
    return [row[0] for row in rows], np.array([[float(cell) for cell in row[1:]] for row in rows])


def baseline(
    files: Path, output: Path, split: SplitOptions, notes: list[str] | None = None, **options: Any
) -> dict[str, Any]:
    config = BaselineConfig(
        TableOptions(files / "table.biom"),
        MetadataOptions(files / "metadata.tsv"),
        BaselineOptions(output=output, **({"n_estimators": TREES} | options)),
        split,
    )
    random_forest_baseline(config, (notes if notes is not None else []).append)
    found: dict[str, Any] = json.loads(output.with_name(f"{output.stem}_metrics.json").read_text())
    return found


def own_results(run: Path) -> dict[str, Any]:
    targets = json.loads((run / "report" / "results.json").read_text())["targets"]
    forests = ("constant", "random_forest", "metadata_forest")
    return {name: {each: models[each] for each in forests if each in models} for name, models in targets.items()}


def test_the_forest_of_a_regressor_is_the_runs_own(number_run: Run, files: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    found = baseline(files, tmp_path / "p.tsv", SplitOptions(splits_from=number_run[1]), notes)
    assert found["targets"] == own_results(number_run[1])
    assert found["rarefy_depth"] == 100
    assert notes[0] == (
        f"as in the run {number_run[1]}: --metadata-column degree_days, --group-column host, --rarefy-depth 100, "
        "--random-seed 42"
    )
    assert not any("not the run's own" in note for note in notes)


def test_the_forest_of_a_classifier_is_the_runs_own(class_run: Run, files: Path, tmp_path: Path) -> None:
    splits = SplitOptions(splits_from=class_run[1] / "splits.tsv")
    found = baseline(files, tmp_path / "c.tsv", splits, metadata_column=("status",))
    assert found["targets"] == own_results(class_run[1])
    header, *rows = rows_of(tmp_path / "c_probabilities.tsv")
    assert header == ["sample-id", "healthy", "stressed"]
    assert all(float(row[1]) + float(row[2]) == pytest.approx(1.0) for row in rows)
    full = rows_of(tmp_path / "c_full.tsv")
    assert full[0][-2:] == ["probability:healthy", "probability:stressed"]
    assert [row[-2:] for row in full[1:]] == [row[1:] for row in rows]


def test_the_forests_of_a_run_with_metadata_and_a_scale_of_its_own(
    train_config: Configs, files: Path, tmp_path: Path
) -> None:
    config = train_config(
        tmp_path / "run",
        run={"epochs": 1, "seed": 7},
        target=TargetOptions(("degree_days", "age"), target_transform="zscore", normalize_by=("season",)),
        category=CategoryOptions(("location",)),
    )
    train(config, quiet=True)
    found = baseline(files, tmp_path / "p.tsv", SplitOptions(splits_from=tmp_path / "run"))
    own = own_results(tmp_path / "run")
    assert set(own["age"]) == {"constant", "random_forest", "metadata_forest"}
    assert found["targets"] == own
    features = [row[0] for row in rows_of(tmp_path / "p_importance.tsv")]
    assert sum(name.startswith("location=") for name in features) > 1


def test_a_fold_is_a_run_and_all_folds_are_none(train_config: Configs, files: Path, tmp_path: Path) -> None:
    config = train_config(
        tmp_path / "cv",
        run={"epochs": 1},
        transfer=TransferOptions(cv=2),
        objective=TrainObjective(loss_type="quantile", conformal=True, calibration_size=0.3),
    )
    train(config, quiet=True)
    with pytest.raises(TrainError, match=r"a run of several models\. Pass one of them, such as .*fold-1$"):
        baseline(files, tmp_path / "p.tsv", SplitOptions(splits_from=tmp_path / "cv"))
    found = baseline(files, tmp_path / "p.tsv", SplitOptions(splits_from=tmp_path / "cv" / "fold-2"))
    assert found["targets"] == own_results(tmp_path / "cv" / "fold-2")


def test_what_differs_from_the_run_is_told(number_run: Run, files: Path, tmp_path: Path) -> None:
    run, notes = number_run[1], list[str]()
    split = SplitOptions(splits_from=run, group_column="location")
    (tmp_path / "metadata.tsv").write_text((files / "metadata.tsv").read_text() + "\n")
    config = BaselineConfig(
        TableOptions(files / "table.biom"),
        MetadataOptions(tmp_path / "metadata.tsv"),
        BaselineOptions(tmp_path / "p.tsv", n_estimators=10, rarefy_depth=50),
        SplitOptions(splits_from=run),
    )
    random_forest_baseline(config, notes.append)
    assert notes[1] == (
        "warning: the forest is not the run's own, since these options differ: --rarefy-depth 50 (the run: 100), "
        "--n-estimators 10 (the run: 20)"
    )
    assert notes[2] == (
        f"warning: {tmp_path / 'metadata.tsv'} is not a file of that run, so the forest is not the run's own"
    )
    other: list[str] = []
    found = baseline(files, tmp_path / "s.tsv", SplitOptions(splits_from=run), other, metadata_column=("age",))
    assert list(found["targets"]) == ["age"]
    assert "--metadata-column age (the run: degree_days)" in other[1]
    assert split.group_column == "location"


def test_the_run_of_an_encoder_has_no_target(encoder_run: Run, files: Path, tmp_path: Path) -> None:
    splits = SplitOptions(splits_from=encoder_run[1])
    with pytest.raises(TrainError, match="missing --metadata-column"):
        baseline(files, tmp_path / "p.tsv", splits)
    notes: list[str] = []
    found = baseline(files, tmp_path / "p.tsv", splits, notes, metadata_column=("age",))
    assert (list(found["targets"]), found["rarefy_depth"]) == (["age"], 100)
    assert "--group-column host, --rarefy-depth 100" in notes[0]


def test_the_forest_is_that_of_scikit_learn_with_its_importance(files: Path, study: Study, tmp_path: Path) -> None:
    ids = study.table.sample_ids
    for name, chosen in (("train", ids[:16]), ("val", ids[16:])):
        (tmp_path / name).write_text("\n".join(chosen) + "\n")
    lists = SplitOptions(train_samples=tmp_path / "train", val_samples=tmp_path / "val")
    settings = {"max_features": "0.5", "random_seed": 7, "rarefy_depth": 100}
    found = baseline(files, tmp_path / "p.tsv", lists, metadata_column=("degree_days",), **settings)
    assert (found["learned_from"], found["judged_on"]) == (16, 8)
    assert study.metadata is not None
    truth = study.metadata.numeric("degree_days")
    low, high = truth[:16].min(), truth[:16].max()
    scaled = ((truth - low) / (high - low)).astype(np.float32)
    x = relative_abundances(Rarefier(study.table, 100, 7), np.arange(24))
    assert x.sum(axis=1) == pytest.approx(1.0)
    forest = RandomForestRegressor(TREES, max_features=0.5, min_samples_leaf=1, random_state=7)
    forest.fit(x[:16], scaled[:16])
    predicted = dict(zip(*numbers(tmp_path / "p.tsv"), strict=True))
    assert [predicted[i][0] for i in ids[16:]] == pytest.approx(forest.predict(x[16:]) * (high - low) + low, rel=1e-6)
    importance = dict(zip(*numbers(tmp_path / "p_importance.tsv"), strict=True))
    assert [importance[name][0] for name in study.table.feature_ids] == pytest.approx(
        forest.feature_importances_, abs=1e-9
    )
    assert rows_of(tmp_path / "p_importance.tsv")[0] == ["feature", "importance"]


def test_the_forest_needs_no_torch() -> None:
    code = "import sys, aam_train.recipes.random_forest; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_memory_of_a_forest_is_estimated() -> None:
    """An upper bound for the trees of scikit-learn on classes that no feature separates."""
    random = np.random.default_rng(0)
    x, codes = random.random((300, 5)), random.integers(0, 40, 300)
    forest = forest_module_classifier(x, codes)
    nodes = sum(tree.tree_.node_count for tree in forest.estimators_)
    fields = forest.estimators_[0].tree_.__getstate__()["nodes"].itemsize
    held = nodes * (fields + 8 * 40)
    assert held <= forest_bytes(300, 40, TREES) <= 1.5 * held
    assert too_large(300, 40, ForestOptions(1, TREES)) is None
    reason = too_large(10_000_000, 2_000, ForestOptions(1, 500))
    assert str(reason).startswith(
        "a forest of 500 trees on 10,000,000 samples with 2,000 classes needs about 101,524.5 GB of memory, and "
    )


def forest_module_classifier(x: np.ndarray, codes: np.ndarray) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(TREES, random_state=1).fit(x, codes)


def test_a_run_is_not_lost_to_a_forest_that_does_not_fit(
    train_config: Configs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    files: Path,
) -> None:
    monkeypatch.setattr(forest_module, "MAX_MEMORY_SHARE", 0.0)
    train(train_config(tmp_path / "run", run={"epochs": 1}))
    results = json.loads((tmp_path / "run" / "report" / "results.json").read_text())
    assert set(results["targets"]["degree_days"]) == {"aam", "constant", "clr_linear"}
    assert "needs about" in results["left_out"]["random_forest"]
    assert "warning: the baseline random forest is left out: a forest of 20 trees on 20" in capsys.readouterr().err
    assert len(rows_of(tmp_path / "run" / "predictions.tsv")) > 1
    with pytest.raises(ValueError, match=r"needs about .* Use fewer trees: --n-estimators"):
        baseline(files, tmp_path / "p.tsv", SplitOptions(splits_from=tmp_path / "run"))

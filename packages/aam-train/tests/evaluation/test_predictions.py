"""Tables of predictions, byte by byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aam_data.preprocessing.class_labels import ClassLabels
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.target import FittedTarget, TargetSpec
from aam_data.preprocessing.transforms import MinMax, NoTransform
from aam_train.evaluation.predictions import (
    Predictions,
    make_predictions,
    pool_predictions,
    write_full,
    write_predictions,
)

IDS = np.array(["S1", "S 2"], dtype=object)


def numbers(*names: str) -> Predictions:
    values = np.arange(2 * len(names), dtype=np.float64).reshape(2, -1) / 3
    return Predictions(IDS, values, None, names, ())


def classes(ids: list[str], names: tuple[str, ...], shares: list[list[float]]) -> Predictions:
    values = np.array([[names[int(np.argmax(row))]] for row in shares], dtype=object)
    return Predictions(np.array(ids, dtype=object), values, np.array(shares), ("y",), names)


def test_outputs_become_values_of_the_column() -> None:
    low_high = FittedTarget(TargetSpec("a", "regression", 1), transform=MinMax(10.0, 20.0))
    plain = FittedTarget(TargetSpec("b", "regression", 1), transform=NoTransform())
    made = make_predictions(Preprocessor(150, 0, 0, 42, 1024, (low_high, plain)), IDS, np.float32([[0, 7], [0.5, -1]]))
    assert made.values.tolist() == [[10.0, 7.0], [15.0, -1.0]]
    assert (made.names, made.classes, made.probabilities) == (("a", "b"), (), None)


def test_logits_become_probabilities_and_names() -> None:
    target = FittedTarget(TargetSpec("y", "classification", 2), labels=ClassLabels(("no", "yes")))
    made = make_predictions(Preprocessor(150, 0, 0, 42, 1024, (target,)), IDS, np.float32([[0, 0.5], [900, -900]]))
    assert made.values.tolist() == [["yes"], ["no"]]
    assert made.probabilities is not None
    assert made.probabilities.sum(axis=1).tolist() == pytest.approx([1, 1])
    assert made.probabilities[0, 1] == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert made.probabilities[1].tolist() == [1.0, 0.0]


def test_one_target_is_one_file_of_two_columns(tmp_path: Path) -> None:
    assert write_predictions(tmp_path / "p.tsv", numbers("y")) == [tmp_path / "p.tsv"]
    assert (tmp_path / "p.tsv").read_bytes() == b"sample-id\tprediction\nS1\t0\nS 2\t0.333333333\n"


def test_names_of_targets_never_become_paths(tmp_path: Path) -> None:
    written = write_predictions(tmp_path / "p.tsv", numbers("../../x", "/etc/y"))
    assert written == [tmp_path / "p-1.tsv", tmp_path / "p-2.tsv"]
    assert sorted(tmp_path.iterdir()) == written


def test_classes_have_a_file_of_probabilities(tmp_path: Path) -> None:
    written = write_predictions(tmp_path / "p.tsv", classes(["S1", "S2"], ("a b", "c"), [[0.25, 0.75], [1, 0]]))
    assert [path.name for path in written] == ["p.tsv", "p_probabilities.tsv"]
    assert written[1].read_text() == "sample-id\ta b\tc\nS1\t0.25\t0.75\nS2\t1\t0\n"


def test_everything_known_of_each_prediction(tmp_path: Path) -> None:
    truth = np.array([[1.5, np.nan], [2.0, 3.0]])
    columns = {"split": ["train", "test"], "group": ["", "H1"]}
    write_full(tmp_path / "f.tsv", numbers("a", "b"), truth=truth, columns=columns)
    assert (tmp_path / "f.tsv").read_text().splitlines() == [
        "sample-id\ttarget\ttruth\tprediction\tsplit\tgroup",
        "S1\ta\t1.5\t0\ttrain\t",
        "S1\tb\t\t0.333333333\ttrain\t",
        "S 2\ta\t2\t0.666666667\ttest\tH1",
        "S 2\tb\t3\t1\ttest\tH1",
    ]


def test_samples_without_a_prediction_say_why(tmp_path: Path) -> None:
    write_full(tmp_path / "f.tsv", numbers("a"), not_predicted={"S9": "no reads"})
    assert (tmp_path / "f.tsv").read_text().splitlines() == [
        "sample-id\ttarget\tprediction\tnote",
        "S1\ta\t0\t",
        "S 2\ta\t0.333333333\t",
        "S9\ta\t\tnot predicted: no reads",
    ]


def test_a_failed_write_keeps_the_older_file(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_text("old")
    broken = Predictions(IDS, np.zeros((1, 1)), None, ("y",), ())  # a value is missing
    with pytest.raises(ValueError, match="zip"):
        write_predictions(tmp_path / "p.tsv", broken)
    assert [path.name for path in tmp_path.iterdir()] == ["p.tsv"]
    assert (tmp_path / "p.tsv").read_text() == "old"


def test_pooled_models_may_know_different_classes() -> None:
    pooled = pool_predictions(
        [classes(["S1"], ("a", "c"), [[0.2, 0.8]]), classes(["S2", "S3"], ("b", "c"), [[0.9, 0.1], [0.4, 0.6]])]
    )
    assert pooled.classes == ("a", "b", "c")
    assert pooled.probabilities is not None
    assert pooled.probabilities.tolist() == [[0.2, 0, 0.8], [0, 0.9, 0.1], [0, 0.4, 0.6]]
    assert pooled.values[:, 0].tolist() == ["c", "b", "c"]
    assert pooled.sample_ids.tolist() == ["S1", "S2", "S3"]
    assert pool_predictions([numbers("y"), numbers("y")]).probabilities is None

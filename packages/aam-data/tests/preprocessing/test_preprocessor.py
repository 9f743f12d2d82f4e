"""The preprocessor: fitted on training samples only, inverted exactly, saved completely."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions
from aam_data.options.samples import SampleOptions
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.class_labels import ClassLabels
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.target import FittedTarget, TargetSpec
from aam_data.preprocessing.taxonomy import TaxonRanks
from aam_data.preprocessing.transforms import MinMax, NoTransform, ZScore
from aam_data.readers.metadata.metadata import read_metadata
from aam_data.sequences import build_sequences
from aam_data.study.study import Study
from aam_data.table import table_from_triplets

OPTIONS = SampleOptions(max_bp=120, max_asvs=64)
SETTLED = {"trim_length": 90, "rarefy_depth": 1000, "seed": 2**62}
NUMBERS = {"max_bp": 120, "max_asvs": 64, **SETTLED}
METADATA = """sample-id\tage\tph\tstate
s0\t10\t5.5\twell
s1\t30\t6.5\till
s2\tnot provided\t7\twell
s3\t50\tmissing\till
s4\t1000\t9\tdead
"""
TRAIN = np.array([0, 1, 2])


@pytest.fixture
def study(tmp_path: Path) -> Study:
    path = tmp_path / "metadata.tsv"
    path.write_text(METADATA)
    ids = np.array([f"s{i}" for i in range(5)], dtype=object)
    features = np.array(["ACGT"], dtype=object)
    table = table_from_triplets(np.arange(5), np.zeros(5, dtype=int), np.arange(1, 6), ids, features)
    metadata = read_metadata(path, MetadataOptions()).take(ids)
    return Study(table, build_sequences([b"ACGT"]), metadata)


def fit(study: Study, *columns: str, **options: object) -> Preprocessor:
    return Preprocessor.fit(study, TRAIN, OPTIONS, **SETTLED, target=TargetOptions(columns, **options))


def test_regression_targets_are_scaled_by_training_samples_and_come_back(study: Study) -> None:
    preprocessor = fit(study, "age", "ph")
    assert [target.transform for target in preprocessor.targets] == [MinMax(10.0, 30.0), MinMax(5.5, 7.0)]
    assert [target.spec for target in preprocessor.targets] == [
        TargetSpec("age", "regression", 1),
        TargetSpec("ph", "regression", 1),
    ]
    targets = preprocessor.targets_of(study.metadata)
    nan = np.nan
    by_hand = [[0, 0], [1, 2 / 3], [nan, 1], [2, nan], [49.5, 7 / 3]]
    np.testing.assert_allclose(targets, np.array(by_hand, dtype=np.float32))
    assert targets.dtype == np.float32
    np.testing.assert_allclose(preprocessor.invert(targets)[:, 0], study.metadata.numeric("age"), rtol=1e-6)
    np.testing.assert_allclose(preprocessor.invert(targets)[:, 1], study.metadata.numeric("ph"), rtol=1e-6)


def test_bounded_predictions_stay_in_the_training_range_whatever_the_scale(study: Study) -> None:
    target = fit(study, "age", target_transform="zscore").targets[0].with_bounds(study.metadata, TRAIN)
    assert target.bounds == (10.0, 30.0)
    unbounded = replace(target, bounds=())
    scaled, scales = np.array([-9.0, -1, 0, 1, 9]), np.zeros(5, dtype=np.int64)
    np.testing.assert_allclose(unbounded.invert(scaled, scales), [-70, 10, 20, 30, 110])
    assert target.invert(scaled, scales).tolist() == [10, 10, 20, 30, 30]
    quantiles = replace(target.with_quantiles((0.1, 0.5, 0.9)), bounds=(10.0, 30.0))
    outputs = np.array([[-9.0, -8, 9], [0, 1, 2], [2, 3, 4]])
    inside = [[10, 10, 30], [20, 30, 30], [30, 30, 30]]
    np.testing.assert_allclose(quantiles.invert_quantiles(outputs, scales[:3]), inside)
    calibrated = replace(quantiles, widening=(1.0,))  # ends keep their coverage, the median its bounds
    ends = [[-80, 10, 120], [10, 30, 50], [30, 30, 70]]
    np.testing.assert_allclose(calibrated.invert_quantiles(outputs, scales[:3]), ends)
    preprocessor = replace(fit(study, "age"), targets=(quantiles,))
    assert Preprocessor.from_dict(json.loads(json.dumps(preprocessor.to_dict()))) == preprocessor
    with pytest.raises(DataError, match="do not fit"):
        replace(target, bounds=(1.0,))


@pytest.mark.parametrize(
    ("kind", "transform"), [("none", NoTransform()), ("zscore", ZScore(20.0, 10.0)), ("minmax", MinMax(10.0, 30.0))]
)
def test_the_transform_asked_for_is_fitted(study: Study, kind: str, transform: object) -> None:
    assert fit(study, "age", target_transform=kind).targets[0].transform == transform


def test_classes_become_numbers_and_probabilities_become_names(study: Study) -> None:
    preprocessor = fit(study, "state", classifier=True)
    assert preprocessor.labels == ClassLabels(("ill", "well"))
    assert preprocessor.targets[0].spec == TargetSpec("state", "classification", 2)
    np.testing.assert_array_equal(
        preprocessor.targets_of(study.metadata, unseen="missing"), [[1], [0], [1], [0], [np.nan]]
    )
    with pytest.raises(DataError, match=r"metadata.tsv: column state: classes that no training.*\(dead: 1\)"):
        preprocessor.targets_of(study.metadata)
    assert preprocessor.invert(np.array([[0.3, 0.7], [0.9, 0.1]])).tolist() == [["well"], ["ill"]]


def test_pretraining_has_no_targets(study: Study) -> None:
    preprocessor = Preprocessor.fit(study, TRAIN, OPTIONS, **SETTLED)
    assert (preprocessor.targets, preprocessor.labels) == ((), None)
    assert preprocessor.targets_of(study.metadata).shape == (5, 0)
    assert {name: getattr(preprocessor, name) for name in NUMBERS} == NUMBERS


def test_samples_that_do_not_train_change_nothing(study: Study, tmp_path: Path) -> None:
    path = tmp_path / "other.tsv"
    path.write_text(METADATA.replace("50", "-999").replace("1000", "77").replace("dead", "lost"))
    ids = study.table.sample_ids
    other = Study(study.table, study.sequences, read_metadata(path, MetadataOptions()).take(ids))
    assert fit(study, "age", "ph") == fit(other, "age", "ph")
    assert fit(study, "state", classifier=True) == fit(other, "state", classifier=True)


def test_targets_without_metadata_or_variation_are_rejected(study: Study) -> None:
    with pytest.raises(DataError, match="Pass the file with --metadata"):
        fit(Study(study.table, study.sequences, None), "age")
    with pytest.raises(DataError, match=r"metadata.tsv: column age: only 1 training sample has a value"):
        Preprocessor.fit(study, np.array([0, 2]), OPTIONS, **SETTLED, target=TargetOptions(("age",)))
    with pytest.raises(DataError, match="no column aeg"):
        fit(study, "aeg")


@pytest.mark.parametrize("classifier", [False, True])
def test_saved_and_read_back_it_is_the_same(study: Study, classifier: bool) -> None:
    preprocessor = (
        fit(study, "state", classifier=True) if classifier else fit(study, "age", "ph", normalize_by=("state",))
    )
    text = json.dumps(preprocessor.to_dict(), allow_nan=False)
    assert Preprocessor.from_dict(json.loads(text)) == preprocessor


@pytest.mark.parametrize("classifier", [False, True])
def test_the_first_format_is_read(study: Study, classifier: bool) -> None:
    preprocessor = fit(study, "state", classifier=True) if classifier else fit(study, "age", "ph")
    values = preprocessor.to_dict() | {"format_version": 1}
    del values["asv_sampling"], values["taxonomy"], values["inputs"], values["loss_weights"], values["frame"]
    for target in values["targets"]:
        assert target.pop("by_category") is None
        del target["quantiles"], target["widening"], target["bounds"]
    assert Preprocessor.from_dict(values) == replace(preprocessor, frame=None)


def test_the_second_format_is_read(study: Study) -> None:
    preprocessor = fit(study, "age", normalize_by=("state",))
    values = preprocessor.to_dict() | {"format_version": 2}
    del values["asv_sampling"], values["taxonomy"], values["inputs"], values["loss_weights"], values["frame"]
    for target in values["targets"]:
        del target["quantiles"], target["widening"], target["bounds"]
    assert Preprocessor.from_dict(values) == replace(preprocessor, frame=None)


def test_the_fifth_format_has_no_frame(study: Study) -> None:
    preprocessor = fit(study, "age")
    values = preprocessor.to_dict() | {"format_version": 5}
    with pytest.raises(DataError, match=r"unknown keys \(frame\)"):
        Preprocessor.from_dict(values)
    del values["frame"]
    assert Preprocessor.from_dict(values) == replace(preprocessor, frame=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"asv_sampling": "last"}, r"unknown choice of ASVs \(last\)"),
        ({"taxonomy": []}, "the taxonomy must be lists of sorted lineages by rank"),
        ({"taxonomy": [["b", "a"]]}, "the taxonomy must be lists of sorted lineages by rank"),
        ({"taxonomy": [[1]]}, "the taxonomy must be lists of sorted lineages by rank"),
        ({"taxonomy": {"a": 1}}, r"values of a wrong type \(taxonomy\)"),
    ],
)
def test_wrong_samplings_and_taxonomies_are_rejected(study: Study, change: dict[str, object], message: str) -> None:
    values = fit(study, "age").to_dict()
    assert Preprocessor.from_dict(values | {"taxonomy": [["a", "b"], ["a; c"]]}).taxonomy == TaxonRanks(
        (("a", "b"), ("a; c",))
    )
    with pytest.raises(DataError, match=message):
        Preprocessor.from_dict(values | change)


def test_logarithms_are_rejected_for_all_samples_at_once(study: Study, tmp_path: Path) -> None:
    path = tmp_path / "cold.tsv"
    path.write_text(METADATA.replace("30", "-1").replace("1000", "-7.5"))
    cold = Study(study.table, study.sequences, read_metadata(path, MetadataOptions()).take(study.table.sample_ids))
    with pytest.raises(DataError, match=r"cold.tsv: column age: --target-transform log-zscore .*\(-1.0, -7.5\)"):
        fit(cold, "age", target_transform="log-zscore")
    with pytest.raises(DataError, match=r"\(-1.0, -7.5\)"):
        fit(study, "age", target_transform="log-minmax").targets_of(cold.metadata)


def test_scales_by_category(tmp_path: Path) -> None:
    """Two sites of 10 training samples with one value in common, a third of 2; a second target is scaled as a whole."""
    path, ids = tmp_path / "sites.tsv", np.array([f"s{i:02}" for i in range(24)], dtype=object)
    sites = ["north"] * 11 + ["south"] * 11 + ["east"] * 2
    ages = [*range(11), *range(10, 120, 10), 50, 70]
    rows = [f"{i}\t{site}\t{age}" for i, site, age in zip(ids, sites, ages, strict=True)]
    path.write_text("\n".join(["sample-id\tsite\tage", *rows]) + "\n")
    table = table_from_triplets(np.arange(24), np.zeros(24, dtype=int), np.ones(24), ids, np.array(["ACGT"]))
    study = Study(table, build_sequences([b"ACGT"]), read_metadata(path, MetadataOptions()))
    target = TargetOptions(("age",), target_transform="minmax", normalize_by=("site",))
    train = np.array([*range(10), *range(11, 21), 22])  # ages 0 to 9, 10 to 100, 50
    preprocessor = Preprocessor.fit(study, train, OPTIONS, **SETTLED, target=target)
    assert preprocessor.category_columns == ("site",)
    scales = preprocessor.scales_of(study.metadata, 24)
    assert scales[:, 0].tolist() == [1] * 11 + [2] * 11 + [0] * 2
    targets = preprocessor.targets_of(study.metadata)
    by_hand = [*(np.arange(11) / 9), *(np.arange(11) / 9), 0.5, 0.7]
    np.testing.assert_allclose(targets[:, 0], by_hand, rtol=1e-6)
    np.testing.assert_allclose(preprocessor.invert(targets, scales)[:, 0], ages, rtol=1e-6, atol=1e-6)
    assert preprocessor.describe_scales(study.metadata, np.arange(22)) == [
        "age: 2 categories of site have their own scale"
    ]
    assert study.metadata is not None
    without = replace(study.metadata, frame=study.metadata.frame[["age"]])
    for metadata in (None, without):
        with pytest.raises(DataError, match=r"needs these metadata columns \(site \(scales of its .*\. Pass a file"):
            preprocessor.scales_of(metadata, 24)
    plain = Preprocessor.fit(study, train, OPTIONS, **SETTLED, target=TargetOptions(("age",)))
    assert plain.category_columns == ()
    assert plain.scales_of(None, 3).tolist() == [[0], [0], [0]]


def changed(study: Study, column: str, path: str, value: object) -> dict:
    """Return a saved preprocessor with ``path`` (dotted) set to ``value``, or removed if that is None."""
    values = json.loads(json.dumps(fit(study, column, classifier=column == "state").to_dict()))
    *parents, last = path.split(".")
    inner = values
    for parent in parents:
        inner = inner[int(parent)] if parent.isdigit() else inner[parent]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return values


@pytest.mark.parametrize(
    ("column", "path", "value", "message"),
    [
        ("age", "format_version", 7, "has format 7, but this version of AAM reads formats up to 6"),
        ("age", "format_version", True, "the preprocessor has format True"),
        ("age", "format_version", 0, "the preprocessor has format 0"),
        ("age", "format_version", 1, r"unknown keys \(asv_sampling, taxonomy, inputs, loss_weights, frame\)"),
        ("age", "targets.0.by_category", {}, r"target 1: by category: missing keys \(columns, categories\)"),
        ("age", "format_version", None, "the preprocessor has format None"),
        ("age", "color", 1, r"preprocessor: unknown keys \(color\)"),
        ("age", "seed", None, r"preprocessor: missing keys \(seed\)"),
        ("age", "max_bp", 150.0, r"preprocessor: values of a wrong type \(max_bp\)"),
        ("age", "max_bp", True, r"preprocessor: values of a wrong type \(max_bp\)"),
        ("age", "max_bp", -1, r"numbers of the preprocessor are too small \(max_bp\)"),
        ("age", "targets", {}, r"values of a wrong type \(targets\)"),
        ("age", "targets.0.kind", "ranking", "target 1: unknown kind of target 'ranking'"),
        ("age", "targets.0.width", 2, "target age: .*do not fit a regression target"),
        ("age", "targets.0.transform.low", float("nan"), r"target 1: transform: values of a wrong type \(low\)"),
        ("age", "targets.0.transform.high", 10.0, "a target transform with a scale of 0 cannot be inverted"),
        ("state", "targets.0.labels", ["ill", "ill"], "target 1: class labels must be distinct strings"),
        ("state", "targets.0.labels", ["ill", ["x"]], "target 1: class labels must be distinct strings"),
        ("state", "targets.0.labels", ["ill", "well", "x"], "target state: .*do not fit a classification target"),
    ],
)
def test_anything_else_is_rejected(study: Study, column: str, path: str, value: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Preprocessor.from_dict(changed(study, column, path, value))


def test_targets_that_cannot_be_are_rejected() -> None:
    numeric = FittedTarget(TargetSpec("age", "regression", 1), transform=NoTransform())
    classes = FittedTarget(TargetSpec("state", "classification", 2), labels=ClassLabels(("a", "b")))
    with pytest.raises(DataError, match="a class target cannot be combined"):
        Preprocessor(**NUMBERS, targets=(classes, numeric))
    with pytest.raises(DataError, match="do not fit a classification target"):
        FittedTarget(TargetSpec("state", "classification", 2), transform=NoTransform())

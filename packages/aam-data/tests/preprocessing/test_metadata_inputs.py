"""Options of metadata as input; hierarchies and weights of categories; saving and loading."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.preprocessing.categories import CategoryCodec
from aam_data.preprocessing.category_hierarchy import CategoryHierarchy
from aam_data.preprocessing.category_weights import CategoryWeights
from aam_data.preprocessing.metadata_inputs import MetadataInputs
from aam_data.readers.metadata.metadata import Metadata, read_metadata

TABLE = """sample-id\tcity\tstate\tcountry\tph
s0\tAustin\tTexas\tUSA\t5
s1\tDallas\tTexas\tUSA\t7
s2\tAustin\tTexas\tUSA\t
s3\tLyon\tRhone\tFrance\t9
s4\tNowhere\t\t\t5
s5\tHouston\tTexas\tUSA\t5
s6\tAustin\tRhone\tFrance\t5
"""
TRAIN = np.array([0, 1, 2, 3, 4])
PARENTS = {"city": "state", "state": "country"}
COLUMNS = ("city", "state", "country")


@pytest.fixture
def metadata(tmp_path: Path) -> Metadata:
    (tmp_path / "metadata.tsv").write_text(TABLE)
    return read_metadata(tmp_path / "metadata.tsv", MetadataOptions())


def test_columns_come_one_by_one_or_with_commas() -> None:
    options = CategoryOptions(("site, season", "host"), ("age,ph",), '{"site": "host"}', "auto", "season")
    assert options.categories() == ("site", "season", "host")
    assert options.numbers() == ("age", "ph")
    assert options.parents() == {"site": "host"}
    assert (options.weight_column(), options.weights()) == ("season", "auto")
    assert CategoryOptions(("site",), (), None, "effective").weight_column() == "site"
    named = CategoryOptions(categorical_loss_weights='{"a": 2, "b": 0.5}', categorical_loss_weight_column="site")
    assert named.weights() == {"a": 2.0, "b": 0.5}
    assert CategoryOptions().weights() is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categorical_columns": ("a", "a")}, "--categorical-columns a,a: duplicate column: a"),
        ({"categorical_columns": ("a,",)}, "--categorical-columns a,: the name of a column is empty"),
        (
            {"categorical_columns": ("a", "b"), "numeric_columns": ("b",)},
            "b: in both --categorical-columns and --numeric-columns",
        ),
        ({"categorical_hierarchy": '{"a": "b"}'}, "--categorical-hierarchy names a, b; add it to --categorical-col"),
        ({"categorical_columns": ("a,b",), "categorical_hierarchy": '{"a": "a"}'}, "contains a cycle: a -> a"),
        ({"categorical_columns": ("a,b",), "categorical_hierarchy": '{"a": "b", "b": "a"}'}, "cycle: a -> b -> a"),
        (
            {"categorical_columns": ("a,b,c",), "categorical_hierarchy": '{"c": "a", "a": "b", "b": "a"}'},
            "cycle: a -> b -> a",
        ),
        ({"categorical_columns": ("a,b",), "categorical_hierarchy": "a:b"}, "hierarchy a:b: not valid JSON"),
        ({"categorical_columns": ("a,b",), "categorical_hierarchy": '["a"]'}, "not a JSON object"),
        ({"categorical_columns": ("a,b",), "categorical_hierarchy": '{"a": 1}'}, "must map columns to their parents"),
        ({"categorical_columns": ("a,b",), "categorical_hierarchy": "{}"}, "must map columns to their parents"),
        (
            {"categorical_columns": ("a,b",), "categorical_hierarchy": '{"a": "b", "a": "b"}'},
            "keys that appear more than once ('a'",
        ),
        ({"categorical_columns": ("a", "b"), "categorical_loss_weights": "auto"}, "needs --categorical-loss-weight-c"),
        ({"categorical_loss_weight_column": "a"}, "--categorical-loss-weights; pass both"),
        ({"categorical_columns": ("a",), "categorical_loss_weights": "none"}, "must be auto, effective or JSON"),
        ({"categorical_columns": ("a",), "categorical_loss_weights": '{"x": 0}'}, "a number above 0"),
        ({"categorical_columns": ("a",), "categorical_loss_weights": '{"x": true}'}, "a number above 0"),
        ({"categorical_columns": ("a",), "categorical_loss_weights": '{"x": NaN}'}, "NaN is not JSON"),
        ({"categorical_columns": ("a",), "categorical_loss_weights": "{}"}, "a number above 0"),
    ],
)
def test_contradictions_are_rejected_by_the_names_of_the_flags(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        CategoryOptions(**options)


def test_parents_are_those_of_the_training_samples(metadata: Metadata) -> None:
    codec = CategoryCodec.fit(metadata, TRAIN, COLUMNS)
    assert codec.names == (("Austin", "Dallas", "Lyon", "Nowhere"), ("Rhone", "Texas"), ("France", "USA"))
    hierarchy = CategoryHierarchy.fit(codec, metadata, TRAIN, PARENTS)
    assert hierarchy.parents == (1, 2, -1)
    assert hierarchy.parent_codes == ((0, 2, 2, 1, 0), (0, 1, 2), ())
    with pytest.raises(DataError, match=r"Austin \(city\) in Rhone and Texas \(state\)\)\. Make their names distinct"):
        CategoryHierarchy.fit(codec, metadata, np.arange(7), PARENTS)


def test_weights_by_category_like_scikit_learn(metadata: Metadata) -> None:
    known = metadata.text("country")[TRAIN[:4]].astype(str)
    balanced = compute_class_weight("balanced", classes=np.array(["France", "USA"]), y=known)
    auto = CategoryWeights.fit(metadata, TRAIN, "country", "auto")
    assert auto.weights == pytest.approx(balanced)
    assert auto.apply(metadata) == pytest.approx([balanced[1]] * 3 + [balanced[0], 1, balanced[1], balanced[0]])
    manual = CategoryWeights.fit(metadata, TRAIN, "country", {"France": 3.0})
    assert manual.weights == pytest.approx([3 / 1.5, 1 / 1.5])  # the mean over three of the one, one of the other
    beta = 3 / 4
    effective = np.array([(1 - beta) / (1 - beta), (1 - beta) / (1 - beta**3)])
    mean = (effective * [1, 3]).sum() / 4
    found = CategoryWeights.fit(metadata, TRAIN, "country", "effective")
    assert found.weights == pytest.approx(effective / mean)
    assert found.describe() == f"country: France {effective[0] / mean:.3g}, USA {effective[1] / mean:.3g}"
    for weights in (auto, manual, found):
        assert weights.apply(metadata)[TRAIN].mean() == pytest.approx(1)
        assert CategoryWeights.from_dict(json.loads(json.dumps(weights.to_dict()))) == weights
    with pytest.raises(DataError, match=r"column country: .* \(Spain\)\. The column has France, USA"):
        CategoryWeights.fit(metadata, TRAIN, "country", {"Spain": 2.0})


def test_one_category_weighs_one(metadata: Metadata) -> None:
    for method in ("auto", "effective"):
        assert CategoryWeights.fit(metadata, TRAIN[:1], "country", method).weights == (1.0,)


def test_inputs_are_applied_and_saved_as_they_were_fitted(metadata: Metadata) -> None:
    inputs = MetadataInputs.fit(metadata, TRAIN, COLUMNS, ["ph"], PARENTS)
    assert inputs.columns == (*COLUMNS, "ph")
    assert inputs.describe() == "city (4 categories), state (2 categories), country (2 categories), ph (a number)"
    found = inputs.apply(metadata)
    assert found.codes.tolist() == [[1, 2, 2], [2, 2, 2], [1, 2, 2], [3, 1, 1], [4, 0, 0], [0, 2, 2], [1, 1, 1]]
    ph = np.array([5, 7, 6.5, 9, 5, 5, 5])
    np.testing.assert_allclose(found.covariates[:, 0], (ph - 6.5) / np.std([5, 7, 9, 5]), rtol=1e-6)
    assert found.covariates[:, 1].tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert found.notes == (
        "warning: city: 1 of 7 samples have categories that no training sample has, so the model treats them as "
        "unknown (Houston: 1)",
    )
    assert MetadataInputs.from_dict(json.loads(json.dumps(inputs.to_dict()))) == inputs
    assert not MetadataInputs()
    assert MetadataInputs().apply(metadata).covariates.shape == (7, 0)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("hierarchy.parents", [1, 2], "does not fit the categories"),
        ("hierarchy.parents", [1, 3, -1], "does not fit the categories"),
        ("hierarchy.parents", [1, 2, True], "must consist of whole numbers"),
        ("hierarchy.parent_codes", [[0, 2, 2, 1, 9], [0, 1, 2], []], "does not fit the categories"),
        ("hierarchy.parent_codes", [[0, 2], [0, 1, 2], []], "does not fit the categories"),
        ("hierarchy.parent_codes", [1, 2, 3], "must consist of whole numbers"),
        ("covariates.stds", [0.0], "scale of 0"),
        ("categories", [], "wrong type"),
    ],
)
def test_other_saved_inputs_are_rejected(metadata: Metadata, path: str, value: object, message: str) -> None:
    values = MetadataInputs.fit(metadata, TRAIN, COLUMNS, ["ph"], PARENTS).to_dict()
    *parents, last = path.split(".")
    inner = values
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    with pytest.raises(DataError, match=message):
        MetadataInputs.from_dict(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"column": "a", "names": ["x"], "weights": []}, "there are no weights"),
        ({"column": "a", "names": ["x", "y"], "weights": [1.0]}, "must have one weight above 0"),
        ({"column": "a", "names": ["x"], "weights": [-1.0]}, "must have one weight above 0"),
        ({"column": "a", "names": ["x"], "weights": ["1"]}, "wrong type"),
        ({"column": "a", "names": [1], "weights": [1.0]}, "must be strings"),
    ],
)
def test_other_saved_weights_are_rejected(values: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        CategoryWeights.from_dict(values)

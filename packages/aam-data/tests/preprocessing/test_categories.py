"""Categories as numbers and numeric covariates: fitted on training samples, unseen and missing values, saved forms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions
from aam_data.preprocessing.categories import CategoryCodec
from aam_data.preprocessing.covariates import CovariateScaler
from aam_data.preprocessing.transforms import ZScore
from aam_data.readers.metadata.metadata import Metadata, read_metadata

TABLE = """sample-id\tsite\tseason\tph\tage\tone\tempty
s0\tb\twinter\t5.0\t20\t3\t
s1\ta\tsummer\t7.0\t30\t3\t
s2\tb\tmissing\tna\t40\t3\t
s3\tc\tsummer\t9.0\t50\t4\t
s4\tc\tspring\t\t60\t5\t
s5\td\tsummer\t1e31\t70\t6\tx
"""
TRAIN = np.array([0, 1, 2])


@pytest.fixture
def metadata(tmp_path: Path) -> Metadata:
    (tmp_path / "metadata.tsv").write_text(TABLE)
    return read_metadata(tmp_path / "metadata.tsv", MetadataOptions())


def test_codes_by_hand_and_like_scikit_learn(metadata: Metadata) -> None:
    codec = CategoryCodec.fit(metadata, TRAIN, ["site", "season"])
    assert codec == CategoryCodec(("site", "season"), (("a", "b"), ("summer", "winter")), ((1, 2), (1, 1)))
    assert codec.sizes == (3, 3)
    found = codec.apply(metadata)
    assert found.codes.tolist() == [[2, 2], [1, 1], [2, 0], [0, 1], [0, 0], [0, 1]]
    assert found.notes == (
        "warning: site: 3 of 6 samples have categories that no training sample has, so the model treats them as "
        "unknown (c: 2, d: 1)",
        "warning: season: 1 of 6 samples have categories that no training sample has, so the model treats them as "
        "unknown (spring: 1)",
    )
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    site = metadata.text("site")[:, None]
    np.testing.assert_array_equal(found.codes[:, 0], encoder.fit(site[TRAIN]).transform(site)[:, 0] + 1)
    assert codec.apply(metadata.take(metadata.sample_ids[:3])).notes == ()


def test_unseen_categories_may_be_rejected(metadata: Metadata) -> None:
    codec = CategoryCodec.fit(metadata, TRAIN, ["site"])
    with pytest.raises(
        DataError, match=r"metadata.tsv: column site: categories that no .*\(c: 2, d: 1\)\. .*--na-value"
    ):
        codec.apply(metadata, unseen="error")


def test_numbers_of_different_value_are_not_said_to_match(tmp_path: Path) -> None:
    path = tmp_path / "metadata.tsv"
    path.write_text("sample-id\tdose\ns1\t1.37\ns2\t37\ns3\t2.37\ns4\t37.0\n")
    metadata = read_metadata(path, MetadataOptions())
    codec = CategoryCodec.fit(metadata, np.array([0, 1]), ["dose"])
    (note,) = codec.apply(metadata.take(["s1", "s2", "s3"])).notes
    assert "(2.37: 1)" in note
    assert "would match" not in note
    (note,) = codec.apply(metadata.take(["s1", "s2", "s4"])).notes
    assert "1 of 1 categories would match if a trailing .0 were removed" in note


def test_categories_that_cannot_be_fitted(metadata: Metadata) -> None:
    with pytest.raises(DataError, match="column empty: no training sample has a value"):
        CategoryCodec.fit(metadata, TRAIN, ["empty"])
    with pytest.raises(DataError, match="no column sites"):
        CategoryCodec.fit(metadata, TRAIN, ["sites"])
    with pytest.raises(DataError, match="distinct columns"):
        CategoryCodec.fit(metadata, TRAIN, ["site", "site"])


def test_saved_categories_are_the_same(metadata: Metadata) -> None:
    codec = CategoryCodec.fit(metadata, TRAIN, ["site", "season"])
    assert CategoryCodec.from_dict(json.loads(json.dumps(codec.to_dict()))) == codec


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"columns": ["a"]}, r"categories: missing keys \(names, counts\)"),
        ({"columns": ["a"], "names": [["y", "x"]], "counts": [[1, 1]]}, "must be sorted and distinct"),
        ({"columns": ["a"], "names": [["x", "x"]], "counts": [[1, 1]]}, "must be sorted and distinct"),
        ({"columns": ["a"], "names": [[]], "counts": [[]]}, "must be sorted and distinct"),
        ({"columns": ["a"], "names": ["xy"], "counts": [[1]]}, "must be strings"),
        ({"columns": ["a"], "names": [[1]], "counts": [[1]]}, "must be strings"),
        ({"columns": ["a", "b"], "names": [["x"]], "counts": [[1]]}, "belong to distinct columns"),
        ({"columns": ["a"], "names": [["x"]], "counts": [[1, 2]]}, "must have a number of training samples"),
        ({"columns": ["a"], "names": [["x"]], "counts": [[0]]}, "must be above 0"),
        ({"columns": ["a"], "names": [["x"]], "counts": [[True]]}, "must be above 0"),
    ],
)
def test_other_saved_categories_are_rejected(values: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        CategoryCodec.from_dict(values)


def test_covariates_by_hand_and_like_scikit_learn(metadata: Metadata) -> None:
    scaler = CovariateScaler.fit(metadata, TRAIN, ["ph", "age"])
    assert scaler.scales == (ZScore(6.0, 1.0), ZScore(30.0, float(np.std([20, 30, 40]))))
    metadata = metadata.take(metadata.sample_ids[:5])  # the last one is too large
    found = scaler.apply(metadata)
    assert found.values[:, 0].tolist() == [-1, 1, 0, 3, 0]
    assert found.missing.tolist() == [[False, False]] * 2 + [[True, False], [False, False], [True, False]]
    age = metadata.numeric("age")[:, None]
    np.testing.assert_allclose(found.values[:, 1], StandardScaler().fit(age[TRAIN]).transform(age)[:, 0], rtol=1e-6)
    assert found.values.dtype == np.float32


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (TRAIN, ["one"], "column one: all 3 training samples have the value 3. Leave the column out: one"),
        (TRAIN[2:], ["ph"], "column ph: no training sample has a value"),
        (np.array([1, 5]), ["ph"], r"column ph: values beyond 1e\+30"),
        (TRAIN, ["site"], "column site: values that are not numbers"),
        (TRAIN, ["age", "age"], "columns must be distinct"),
    ],
)
def test_covariates_that_cannot_be_fitted(
    metadata: Metadata, rows: np.ndarray, columns: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        CovariateScaler.fit(metadata, rows, columns)


def test_numbers_too_large_for_a_model_are_rejected(metadata: Metadata) -> None:
    scaler = CovariateScaler(("ph",), (ZScore(7.0, 2.0),))
    message = r"metadata.tsv: column ph: values beyond 1e\+30 \(s5: 1e\+31\).*--na-value"
    with pytest.raises(DataError, match=message):
        scaler.apply(metadata)


def test_saved_covariates_are_the_same(metadata: Metadata) -> None:
    scaler = CovariateScaler.fit(metadata, TRAIN, ["ph", "age"])
    assert CovariateScaler.from_dict(json.loads(json.dumps(scaler.to_dict(), allow_nan=False))) == scaler


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"columns": ["a"], "means": [0.0]}, r"missing keys \(stds\)"),
        ({"columns": ["a"], "means": [0.0], "stds": []}, "do not fit together"),
        ({"columns": [1], "means": [0.0], "stds": [1.0]}, "do not fit together"),
        ({"columns": ["a"], "means": [0.0], "stds": [0.0]}, "scale of 0 cannot be inverted"),
        ({"columns": ["a"], "means": ["0"], "stds": [1.0]}, r"wrong type \(mean\)"),
    ],
)
def test_other_saved_covariates_are_rejected(values: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        CovariateScaler.from_dict(values)

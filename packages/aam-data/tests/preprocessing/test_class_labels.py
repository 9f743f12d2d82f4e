"""Class labels: order, codes, missing and unseen classes, and errors."""

from __future__ import annotations

import numpy as np
import pytest

from aam_data.errors import DataError
from aam_data.preprocessing.class_labels import ClassLabels, check_classes


def texts(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def test_classes_are_sorted_by_name_and_numbers_are_names_again() -> None:
    labels = ClassLabels.fit(texts("well", None, "ill", "well", "10", "9"), "state")
    assert labels.names == ("10", "9", "ill", "well")
    codes = labels.encode(texts("9", None, "well"), "state")
    np.testing.assert_array_equal(codes, [1.0, np.nan, 3.0])
    assert codes.dtype == np.float64
    assert labels.decode(np.array([[3], [0]])).tolist() == [["well"], ["10"]]


def test_unseen_classes_are_rejected_or_missing() -> None:
    labels = ClassLabels(("ill", "well"))
    values = texts("ill", "dead", "lost", "dead")
    with pytest.raises(DataError, match=r"column state: classes that no.*\(dead: 2, lost: 1\)"):
        labels.encode(values, "state")
    np.testing.assert_array_equal(labels.encode(values, "state", unseen="missing"), [0, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (texts("ill", None, "ill"), "the only class of the {} is ill"),
        (texts(None, None), "the {} have no class"),
    ],
)
def test_fewer_than_two_classes_are_rejected(values: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match="column state: " + message.format("training samples")):
        ClassLabels.fit(values, "state")
    with pytest.raises(DataError, match="column state: " + message.format("samples")):
        check_classes(values, "state")


def test_classes_of_one_sample_are_rejected_before_the_split() -> None:
    check_classes(texts("ill", "ill", "well", "well", None), "state")
    with pytest.raises(DataError, match=r"single sample.*\(dead, lost\)\. .*--na-value"):
        check_classes(texts("ill", "ill", "lost", "well", "well", "dead"), "state")

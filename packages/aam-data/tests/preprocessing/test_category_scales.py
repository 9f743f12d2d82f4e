"""Scales by category: values by hand, fallback to the common scale, and the saved form."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions
from aam_data.preprocessing.category_scales import CategoryScales
from aam_data.preprocessing.transforms import LogZScore, MinMax, ZScore, fit_transform
from aam_data.readers.metadata.metadata import Metadata, read_metadata

UNIT = {"values": ["x"], "transform": {"kind": "minmax", "low": 0, "high": 1}}
MakeMetadata = Callable[..., Metadata]


@pytest.fixture
def make(tmp_path: Path) -> MakeMetadata:
    def metadata_of(**columns: list[object]) -> Metadata:
        rows = zip(*columns.values(), strict=True)
        lines = ["\t".join(["sample-id", *columns])]
        lines += ["\t".join(f"{cell}" for cell in (f"s{i}", *row)) for i, row in enumerate(rows)]
        path = tmp_path / "metadata.tsv"
        path.write_text("\n".join(lines) + "\n")
        return read_metadata(path, MetadataOptions())

    return metadata_of


def hills(make: MakeMetadata) -> tuple[Metadata, np.ndarray]:
    """20 samples on the hill (0 to 19), 10 at the coast (100 or 102), 9 elsewhere, 2 without a place."""
    places = ["hill"] * 20 + ["coast"] * 10 + ["moor"] * 9 + [""] * 2
    values = np.array([*range(20), *[100.0, 102.0] * 5, *range(50, 59), 7.0, 8.0])
    return make(place=places), values


def test_each_category_has_its_own_scale_and_small_ones_that_of_all(make: MakeMetadata) -> None:
    metadata, values = hills(make)
    rows = np.arange(41)
    scales = CategoryScales.fit("zscore", values, metadata, rows, ("place",))
    assert scales.categories == (("coast",), ("hill",))
    assert scales.transforms == (ZScore(101.0, 1.0), ZScore(9.5, float(np.std(range(20)))))
    number = scales.scales(metadata)
    assert number.tolist() == [2] * 20 + [1] * 10 + [0] * 11
    overall = fit_transform("zscore", values, "y")
    scaled = scales.apply(overall, values, number)
    assert scaled[20:22].tolist() == [-1.0, 1.0]
    assert scaled[0] == pytest.approx(-9.5 / np.sqrt(33.25))
    assert scaled[30] == pytest.approx((50 - values.mean()) / values.std())
    np.testing.assert_allclose(scales.invert(overall, scaled, number), values)
    assert scales.describe("age", metadata, rows) == (
        "age: 2 categories of place have their own scale; 11 of 41 samples use the common scale, because "
        "their category has fewer than 10 training samples, almost equal values or no value (no value: 2, moor: 9)"
    )
    assert scales.describe("age", metadata, rows[:30]) == "age: 2 categories of place have their own scale"


def test_only_training_samples_with_a_value_count(make: MakeMetadata) -> None:
    metadata, values = hills(make)
    values[0] = np.nan
    for rows in (np.arange(10), np.arange(1, 10)):
        assert CategoryScales.fit("minmax", values, metadata, rows, ("place",)).categories == ()
    scales = CategoryScales.fit("minmax", values, metadata, np.arange(11), ("place",))
    assert scales.transforms == (MinMax(1.0, 10.0),)
    assert np.isnan(scales.apply(MinMax(0.0, 1.0), values, scales.scales(metadata))[0])


def test_a_category_of_equal_values_uses_the_scale_of_all(make: MakeMetadata) -> None:
    metadata = make(place=["a"] * 12 + ["b"] * 12)
    values = np.array([0.1] * 12 + [*range(12)])
    scales = CategoryScales.fit("zscore", values, metadata, np.arange(24), ("place",))
    assert scales.categories == (("b",),)
    assert scales.scales(metadata).tolist() == [0] * 12 + [1] * 12


@pytest.mark.parametrize(
    ("kind", "scaled"),
    [("zscore", ["high"]), ("minmax", ["high"]), ("log-zscore", ["high", "low"]), ("log-minmax", ["high", "low"])],
)
def test_low_values_are_almost_equal_in_units_but_not_in_logarithms(
    make: MakeMetadata, kind: str, scaled: list[str]
) -> None:
    """0 to 900 is less than a thousandth of the range of 2 million, and nearly half of that of the logarithms."""
    metadata = make(place=["low"] * 30 + ["high"] * 30)
    values = np.concatenate([np.linspace(0, 900, 30), np.linspace(1e6, 2e6, 30)])
    scales = CategoryScales.fit(kind, values, metadata, np.arange(60), ("place",))
    assert scales.categories == tuple((name,) for name in scaled)


def test_high_values_are_almost_equal_in_logarithms_but_not_in_units(make: MakeMetadata) -> None:
    """1,000,000 to 1,010,000 is 0.01 of a range of 14 in logarithms, and a hundredth of that of the values."""
    metadata = make(place=["low"] * 30 + ["high"] * 30)
    values = np.concatenate([np.linspace(0, 9000, 30), np.linspace(1e6, 1.01e6, 30)])
    (category,) = CategoryScales.fit("log-zscore", values, metadata, np.arange(60), ("place",)).categories
    assert category == ("low",)
    assert len(CategoryScales.fit("zscore", values, metadata, np.arange(60), ("place",)).categories) == 2


def test_combinations_of_columns(make: MakeMetadata) -> None:
    metadata = make(a=["x", "x", "y", ""] * 12, b=["1", "01", "1", "1"] * 12)
    values = np.random.default_rng(0).gamma(2.0, 3.0, 48)
    scales = CategoryScales.fit("log-zscore", values, metadata, np.arange(48), ("a", "b"))
    assert scales.categories == (("x", "01"), ("x", "1"), ("y", "1"))
    assert scales.scales(metadata)[:4].tolist() == [2, 1, 3, 0]
    logs = np.log1p(values[::4])
    assert scales.transforms[1] == LogZScore(float(logs.mean()), float(logs.std()))


def test_new_metadata(make: MakeMetadata) -> None:
    metadata, values = hills(make)
    scales = CategoryScales.fit("zscore", values, metadata, np.arange(41), ("place",))
    new = make(place=["fjord", "hill", "missing", "coast"])
    assert scales.scales(new).tolist() == [0, 2, 0, 1]
    assert "2 of 3 samples use the common scale" in scales.describe("age", new, np.array([0, 1, 2]))
    assert scales.describe("age", new, np.array([0, 1, 2]), trained=False) == (
        "warning: 2 of 3 samples use the common scale of age, because the model has no scale for their place: no "
        "training sample had this category, fewer than 10 had, or their values were almost equal (no value: 1, "
        "fjord: 1)"
    )
    assert not scales.describe("age", new, np.array([1]), trained=False).startswith("warning")
    with pytest.raises(DataError, match="no column place"):
        scales.scales(make(site=["hill"]))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_invert_undoes_apply_and_saving_keeps_every_bit(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["minmax", "zscore", "log-minmax", "log-zscore"]))
    n_categories = data.draw(st.integers(0, 4))
    transforms = []
    for _ in range(n_categories):
        values = data.draw(st.lists(st.floats(-0.9, 1e4), min_size=2).filter(lambda v: max(v) - min(v) > 1e-2))
        transforms.append(fit_transform(kind, np.array(values), "y"))
    categories = tuple((f"c{k}", "x") for k in range(n_categories))
    scales = CategoryScales(("a", "b"), categories, tuple(transforms))
    text = json.dumps(scales.to_dict(), allow_nan=False)
    assert CategoryScales.from_dict(json.loads(text), kind, "scales") == scales
    values = np.array(data.draw(st.lists(st.floats(-0.9, 1e5), min_size=1, max_size=20)))
    number = np.array(data.draw(st.lists(st.integers(0, n_categories), min_size=len(values), max_size=len(values))))
    overall = fit_transform(kind, np.array([0.0, 3.0]), "y")
    back = scales.invert(overall, scales.apply(overall, values, number), number)
    np.testing.assert_allclose(back, values, rtol=1e-7, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": []}, "do not fit together"),
        ({"columns": ["a", "b"], "categories": [UNIT]}, "do not fit together"),
        ({"columns": [1]}, "columns and categories must be strings"),
        ({"categories": [{"values": ["x"]}]}, r"scales: category: missing keys \(transform\)"),
        ({"categories": [{"values": [None], "transform": {"kind": "none"}}]}, "must be strings"),
        ({"categories": [{"values": ["x"], "transform": {"kind": "none"}}]}, "categories must be minmax"),
        ({"categories": [UNIT] * 2}, "do not fit"),
        ({"extra": 1}, r"scales: unknown keys \(extra\)"),
    ],
)
def test_other_saved_forms_are_rejected(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        CategoryScales.from_dict({"columns": ["a"], "categories": []} | change, "minmax", "scales")

"""The loss of each target, and the errors of its options."""

from __future__ import annotations

from pathlib import Path

import pytest

from aam_train.losses.build import class_weights
from aam_train.losses.regression import REGRESSION_LOSSES
from aam_train.options.losses import LOSSES, LossSettings, check_class_weights
from aam_train.options.objective import TrainObjective

COLUMNS = ("age", "bmi", "1")


def test_losses_by_name_by_number_and_the_default(tmp_path: Path) -> None:
    text = '{"age": "mae", "0": "mse"}'
    with pytest.raises(ValueError, match="'0' and 'age' are the same column"):
        TrainObjective(loss_config=text).losses(COLUMNS)
    text = '{"age": {"type": "quantile", "quantiles": [0.5, 0.75]}, "1": {"type": "asymmetric", "over_penalty": 3}}'
    expected = (
        LossSettings("quantile", quantiles=(0.5, 0.75), huber_delta=2.0),
        LossSettings(huber_delta=2.0),
        LossSettings("asymmetric", over_penalty=3.0, huber_delta=2.0),  # the column "1", not the second one
    )
    assert TrainObjective(huber_delta=2.0, loss_config=text).losses(COLUMNS) == expected
    (tmp_path / "losses.json").write_text(text)
    assert TrainObjective(huber_delta=2.0, loss_config=str(tmp_path / "losses.json")).losses(COLUMNS) == expected
    second = TrainObjective(loss_config='{"1": {"weight": 2}}').losses(("age", "bmi"))
    assert second == (LossSettings(), LossSettings(weight=2.0))
    assert [one.in_words() for one in (*expected, second[1])] == [
        "quantile 0.5, 0.75",
        "huber, delta 2",
        "asymmetric, too high costs 3, too low 1",
        "huber, weight 2",
    ]


def test_every_loss_of_the_table_is_computed() -> None:
    assert REGRESSION_LOSSES.keys() == LOSSES.keys()


def test_an_entry_takes_the_other_options_over() -> None:
    objective = TrainObjective(quantiles=(0.05, 0.5), loss_config='{"bmi": "quantile"}')
    assert objective.losses(COLUMNS)[1].outputs() == (0.05, 0.5)
    assert objective.losses(COLUMNS)[0].outputs() == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"aeg": "mae"}',
            r"'aeg' is not one of --metadata-column \(did you mean age\?\); choose from age or 0, bmi or 1, 1 or 2",
        ),
        ('{"age": {"weight": 1' + "0" * 400 + "}}", "weight must be at most 1e[+]15, got .a number of more than"),
        ('{"age": {"weight": 1e300}}', "weight must be at most 1e[+]15, got 1e[+]300"),
        ('{"age": {"type": "quantile", "quantiles": [1' + "0" * 400 + "]}}", "a list of numbers below 1"),
        ("[" * 5000, "cannot be read"),
        ('{"a": ' * 50_000, "not valid JSON"),
        ("/dev/zero", "not a plain file"),
        ('{"3": "mae"}', "'3' is not one of --metadata-column; choose from"),
        ('{"age": "rmse"}', "'age': unknown loss 'rmse'; choose from mse, mae, huber, quantile, asymmetric"),
        ('{"age": {"loss": "mae"}}', "'age': unknown keys loss; choose from huber_delta, over_penalty, quantiles"),
        ('{"age": {"type": "mae", "huber_delta": 1}}', "huber_delta only applies to the loss huber .got mae."),
        ('{"age": {"huber_delta": -1}}', "huber_delta -1.0: must be a number above 0"),
        ('{"age": {"weight": true}}', "weight must be a number, got True"),
        ('{"age": {"weight": NaN}}', "--loss-config: NaN is not JSON"),
        ('{"age": {"type": "quantile", "quantiles": [0.9, 0.5]}}', "quantiles 0.9,0.5: must ascend"),
        ('{"age": {"type": "quantile", "quantiles": 0.5}}', "quantiles must be a list of numbers"),
        ('{"age": 3}', "'age': must be the name of a loss or an object"),
        ('{"age": "mae", "age": "mse"}', "keys that appear more than once .'age'."),
        ('{"age": "mae"', "--loss-config: not valid JSON"),
        ("no/such.json", "--loss-config no/such.json: cannot be read"),
    ],
)
def test_invalid_loss_config(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainObjective(loss_config=text).losses(COLUMNS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"quantiles": (0.1, 0.9), "loss_type": "quantile"}, "--quantiles 0.1,0.9: must include 0.5"),
        ({"quantiles": (0.5, 1.0), "loss_type": "quantile"}, "--quantiles 0.5,1: each must be above 0 and below 1"),
        ({"quantiles": (0.5, 0.1), "loss_type": "quantile"}, "--quantiles 0.5,0.1: must ascend, without duplicates"),
        ({"quantiles": (0.25, 0.5)}, "--quantiles only applies to --loss-type quantile .got huber."),
        ({"over_penalty": 2.0}, "--over-penalty only applies to --loss-type asymmetric .got huber."),
        ({"under_penalty": 0.0, "loss_type": "asymmetric"}, "--under-penalty 0.0: must be a number above 0"),
        ({"conformal": True}, "--conformal needs intervals: use --loss-type quantile"),
        ({"conformal": True, "loss_type": "quantile", "quantiles": (0.5,)}, "--conformal needs intervals"),
        (
            {"conformal": True, "loss_type": "quantile", "quantiles": (0.5, 0.9)},
            "--conformal moves both ends of an interval and not the median: --quantiles 0.5,0.9 must have",
        ),
        ({"calibration_size": 0.5, "loss_type": "quantile"}, "--calibration-size only applies with --conformal"),
        ({"calibration_size": 1.0}, "--calibration-size 1.0: must be above 0 and below 1"),
        ({"class_weights": "auto,2"}, "--class-weights auto,2: 'auto' is not a number above 0"),
        ({"class_weights": "ill:0"}, "'0' is not a number above 0"),
    ],
)
def test_contradicting_options(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainObjective(**values)  # type: ignore[arg-type]


NAMES, CODES = ("a", "b:1", "c"), [0.0, 0.0, 0.0, 1.0, 2.0, 2.0, float("nan")]


def weights(option: str) -> tuple[float, ...]:
    import numpy as np

    check_class_weights(option)
    return class_weights(option, NAMES, np.array(CODES))


def test_class_weights() -> None:
    assert weights("auto") == pytest.approx((6 / (3 * 3), 6 / (3 * 1), 6 / (3 * 2)))
    assert weights("1, 2,3.5") == (1.0, 2.0, 3.5)
    assert weights("b:1:4, a:0.5") == (0.5, 4.0, 1.0)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("1,2", "--class-weights 1,2: 2 weights for 3 classes, which are a, b:1, c"),
        ("d:2", "--class-weights d:2: 'd' is not a class; choose from a, b:1, c"),
        ("a:2,a:3", "'a' is given twice"),
        ("a:2,3", "'3' is not a class"),
        ("a:x", "'x' is not a number above 0"),
    ],
)
def test_invalid_class_weights(option: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weights(option)

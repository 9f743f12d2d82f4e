"""The link between a head and transformed units: by hand, at the start, and inverted."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from aam_models.config.predictor import LinkConfig
from aam_models.config.predictor_options import OutputOptions
from aam_models.errors import ModelError
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.output_link import AffineScale, Bounds, CategoryScale, LowerBound, OutputLink

WIDTHS = (2, 1)
CODES = torch.tensor([[0, 1], [1, 2], [2, 0], [1, 1]])
OUTPUTS = torch.tensor([[1.0, 2.0, -3.0], [0.5, 1.0, 0.0], [-1.0, 0.0, 2.0], [0.0, 4.0, 1.0]], dtype=torch.float64)


def given() -> Conditions:
    return Conditions(CODES, torch.zeros(4, 2, 0), torch.zeros(4, 0))


def column(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_nothing_asked_for_is_nothing_done() -> None:
    link = OutputLink(LinkConfig(), (), ())
    assert len(list(link.parameters())) == 0
    assert torch.equal(link(OUTPUTS, given()), OUTPUTS)


def test_scales_start_as_identity() -> None:
    link = OutputLink(LinkConfig(True, (0, 1)), WIDTHS, (3, 3)).double()
    assert torch.equal(link(OUTPUTS, given()), OUTPUTS)


def test_scales_by_hand_one_column_after_the_other_and_unknown_categories_keep_1_and_0() -> None:
    link = OutputLink(LinkConfig(True, (0, 1)), WIDTHS, (3, 3)).double()
    learned, first, second = link
    assert isinstance(learned, AffineScale)
    assert isinstance(first, CategoryScale)
    assert isinstance(second, CategoryScale)
    learned.log_scale.data, learned.bias.data = column([math.log(2), math.log(3)]), column([1.0, -1.0])
    first.log_scale.weight.data[1:] = column([[math.log(4), 0.0], [0.0, math.log(5)]])  # type: ignore[arg-type]
    first.bias.weight.data[1:] = column([[10.0, 20.0], [30.0, 40.0]])  # type: ignore[arg-type]
    second.log_scale.weight.data[1:] = column([[math.log(0.5), 0.0], [0.0, math.log(6)]])  # type: ignore[arg-type]
    second.bias.weight.data[1:] = column([[-1.0, -2.0], [-3.0, -4.0]])  # type: ignore[arg-type]
    expected = [
        [(2 * 1 + 1) * 0.5 - 1, (2 * 2 + 1) * 0.5 - 1, 3 * -3 - 1 - 2],  # unknown, 1
        [4 * (2 * 0.5 + 1) + 10 - 3, 4 * (2 * 1 + 1) + 10 - 3, 6 * (3 * 0 - 1 + 20) - 4],  # 1, 2
        [2 * -1 + 1 + 30, 2 * 0 + 1 + 30, 5 * (3 * 2 - 1) + 40],  # 2, unknown
        [0.5 * (4 * 1 + 10) - 1, 0.5 * (4 * 9 + 10) - 1, 3 * 1 - 1 + 20 - 2],  # 1, 1
    ]
    torch.testing.assert_close(link(OUTPUTS, given()), column(expected))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "function"),
    [("relu", lambda x: max(x, 0.0)), ("softplus", lambda x: math.log1p(math.exp(x))), ("exp", math.exp)],
)
def test_activations_stay_above_the_floor_of_each_target(kind, function) -> None:
    floor = LowerBound(WIDTHS, kind, (-2.0, 5.0))
    expected = [[low + function(x) for low, x in zip((-2.0, -2.0, 5.0), row, strict=True)] for row in OUTPUTS.tolist()]
    torch.testing.assert_close(floor(OUTPUTS, given()), column(expected))
    values = column([-1.5, 0.0, 7.0])
    torch.testing.assert_close(floor(floor.inverse_at_init(values)[None], given())[0], values)


def test_bounds_by_hand() -> None:
    bounds = Bounds(WIDTHS, (-1.0, 0.0), (1.0, 10.0))
    expected = [
        [-1 + 2 / (1 + math.exp(-a)), -1 + 2 / (1 + math.exp(-b)), 10 / (1 + math.exp(-c))]
        for a, b, c in OUTPUTS.tolist()
    ]
    torch.testing.assert_close(bounds(OUTPUTS, given()), column(expected))  # type: ignore[arg-type]
    values = column([-0.5, 0.2, 7.0])
    torch.testing.assert_close(bounds(bounds.inverse_at_init(values)[None], given())[0], values)
    far = bounds(1e6 * OUTPUTS, given())
    assert far.min() >= -1
    assert far.max() <= 10


LAST = [
    {},
    {"activation": "exp", "floors": (0.0, 0.0)},
    {"bounded": True, "low": (0.0, 0.0), "high": (1.0, 2.0)},
]


@pytest.mark.parametrize("last", LAST)
def test_quantiles_stay_in_their_order_whatever_is_learned(last: dict[str, object]) -> None:
    link = OutputLink(LinkConfig(True, (0, 1), **last), (3, 2), (3, 3)).double()  # type: ignore[arg-type]
    random = torch.Generator().manual_seed(0)
    for parameter in link.parameters():
        parameter.data = 2 * torch.randn(parameter.shape, generator=random, dtype=torch.float64)
    outputs = torch.randn(4, 5, generator=random, dtype=torch.float64)
    outputs = torch.cat([part.sort(dim=1).values for part in outputs.split((3, 2), dim=1)], dim=1)
    for part in link(outputs, given()).split((3, 2), dim=1):
        assert (part.diff(dim=1) >= 0).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"bounded_targets": True, "output_activation": "relu"},
            "--bounded-targets and --output-activation relu cannot be combined",
        ),
        ({"conditional_output_scaling": ("a,,b",)}, "--conditional-output-scaling a,,b: the name of a column is empty"),
        ({"conditional_output_scaling": ("a", "a")}, "--conditional-output-scaling a,a: duplicate column: a"),
    ],
)
def test_options_that_contradict_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        OutputOptions(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {"activation": "tanh", "floors": (0.0,)},
        {"activation": "relu"},
        {"floors": (0.0,)},
        {"bounded": True},
        {"bounded": True, "low": (1.0,), "high": (1.0,)},
        {"bounded": True, "low": (1.0,), "high": (1.0, 2.0)},
        {"bounded": True, "low": (0.0,), "high": (1.0,), "activation": "relu", "floors": (0.0,)},
    ],
)
def test_invalid_links_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        LinkConfig(**values)  # type: ignore[arg-type]

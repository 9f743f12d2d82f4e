"""Each part of a predictor on a target with the effect that it is for, against the same model without it.

``benchmarks/known_effects.py`` prints the figures with more seeds.
"""

from __future__ import annotations

import numpy as np
import pytest

from aam_models.config.predictor_options import OutputOptions
from aam_train.options.objective import TrainObjective

from .effects import (
    Settings,
    draw,
    fit,
    flipped,
    head,
    heavy_tailed,
    noisy,
    plain,
    r2,
    rare_classes,
    shifted,
)

LOCATION = ("location",)


def score(settings: Settings, target) -> float:
    """R2 on 4,000 new samples."""
    test = draw(4000, 2, target)
    return r2(test.y, fit(settings, draw(1500, 1, target)).outputs(test)[:, 0])


def test_where_the_location_flips_the_effect_film_and_experts_help_and_concat_alone_does_not() -> None:
    assert score(Settings(head((32,)), steps=300), flipped) < 0.05
    assert score(Settings(head(), fused=True, steps=300), flipped) < 0.05
    assert score(Settings(head((32,), film_conditioning=LOCATION), steps=300), flipped) > 0.9
    assert score(Settings(head(moe_experts=4, moe_routing="location")), flipped) > 0.9


def test_where_the_location_shifts_and_scales_the_target_conditional_scaling_and_film_help() -> None:
    assert score(Settings(head(), steps=300), shifted) < 0.4
    assert score(Settings(head(), OutputOptions(conditional_output_scaling=LOCATION)), shifted) > 0.9
    assert score(Settings(head((32,), film_conditioning=LOCATION), steps=500), shifted) > 0.95


def test_experts_of_locations_with_other_effects_differ_and_all_are_used() -> None:
    shares = fit(Settings(head(moe_experts=2, moe_routing="location")), draw(1500, 1, flipped)).routing()
    assert np.abs(shares[0] - shares[1]).max() > 0.9
    assert np.abs(shares[0] - shares[2]).max() < 0.1
    np.testing.assert_allclose(shares.mean(axis=0), 0.5, atol=0.1)


def test_quantiles_cover_every_category_of_a_target_whose_noise_depends_on_it() -> None:
    train, test = draw(3000, 1, noisy), draw(8000, 2, noisy)
    coverage = {}
    for fused in (False, True):
        outputs = fit(Settings(head(), objective=TrainObjective("quantile"), fused=fused), train).outputs(test)
        assert (np.diff(outputs, axis=1) >= 0).all()
        inside = (outputs[:, 0] <= test.y) & (test.y <= outputs[:, 2])
        assert np.bincount(test.location)[1:].min() >= 1000
        coverage[fused] = [inside[test.location == code].mean() for code in range(1, 5)]
    assert max(coverage[True]) < 0.85
    assert min(coverage[True]) > 0.75
    assert max(coverage[False]) > 0.95  # where there is little noise
    assert min(coverage[False]) < 0.6


@pytest.mark.parametrize("seed", range(5))
def test_under_heavy_tails_mae_and_huber_find_the_signal_better_than_mse(seed: int) -> None:
    train = draw(300, 10 + seed, heavy_tailed)
    new = draw(4000, 20 + seed, lambda signal, *_: signal)  # what there is to find, without noise
    errors = {}
    for loss in ("mse", "mae", "huber"):
        found = fit(Settings(head(), objective=TrainObjective(loss), steps=300), train).outputs(new)[:, 0]
        errors[loss] = np.median(np.abs(found - new.y))
    assert errors["mae"] < 0.85 * errors["mse"]
    assert errors["huber"] < 0.85 * errors["mse"]


def test_where_too_low_costs_four_times_as_much_the_asymmetric_loss_costs_less() -> None:
    train, test = draw(2000, 1, plain), draw(4000, 2, plain)
    costs, too_high = {}, {}
    for name, objective in (
        ("mae", TrainObjective("mae")),
        ("even", TrainObjective("asymmetric")),
        ("costly", TrainObjective("asymmetric", under_penalty=4.0)),
    ):
        error = fit(Settings(head(), objective=objective), train).outputs(test)[:, 0] - test.y
        costs[name], too_high[name] = np.where(error > 0, error, -4 * error).mean(), (error > 0).mean()
    assert costs["even"] == costs["mae"]
    assert costs["costly"] < 0.8 * costs["mae"]
    assert too_high["costly"] == pytest.approx(0.8, abs=0.05)  # 4 / (4 + 1)


def test_class_weights_lift_the_balanced_accuracy_of_rare_classes() -> None:
    train, test = draw(2000, 1, rare_classes), draw(6000, 2, rare_classes)
    balanced = {}
    for weights in (None, "auto"):
        settings = Settings(
            head((16,)), objective=TrainObjective(class_weights=weights), classes=("a", "b", "c"), steps=400
        )
        found = fit(settings, train).outputs(test).argmax(axis=1)
        balanced[weights] = np.mean([(found[test.y == code] == code).mean() for code in range(3)])
    assert balanced["auto"] > balanced[None] + 0.08

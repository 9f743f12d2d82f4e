"""Known effects: what each part of conditioning is for, against the same model without it.

benchmarks/conditioning_effects.py prints the same figures for several seeds.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .effect_cases import batch_effect, confounded, covariate, hierarchy, loss_weights, shift

pytestmark = pytest.mark.filterwarnings("ignore:The least populated class")


def test_a_location_that_shifts_the_target_helps_when_it_is_known(tmp_path: Path) -> None:
    found = shift(tmp_path, 1)
    assert found["r2_without"] < 0.15  # at most 0.11 is to be had
    assert found["r2_with"] > 0.95
    assert found["r2_with"] > found["r2_metadata_forest"] + 0.05  # the microbes are used too


@pytest.mark.slow
def test_a_number_that_adds_to_the_target_helps_where_it_is_known(tmp_path: Path) -> None:
    found = covariate(tmp_path, 1)
    assert found["r2_without"] < 0.4
    assert found["r2_with"] > 0.9
    assert found["r2_with_where_missing"] > found["r2_without_where_missing"] - 0.15


@pytest.mark.slow
def test_what_a_protocol_does_to_the_reads_is_undone_when_it_is_known(tmp_path: Path) -> None:
    found = batch_effect(tmp_path, 1)
    assert found["r2_with"] > 0.75
    assert found["r2_with"] > found["r2_without"] + 0.1
    assert found["r2_metadata_forest"] < 0.1


@pytest.mark.slow
def test_a_category_that_follows_the_target_misleads_in_another_study_and_the_report_shows_it(tmp_path: Path) -> None:
    found = confounded(tmp_path, 1)
    assert found["r2_with"] > found["r2_without"] + 0.05  # where the category still follows the target
    assert found["r2_with_in_new_study"] < found["r2_without_in_new_study"] - 0.5
    assert found["r2_metadata_forest"] > 0.8


@pytest.mark.slow
def test_an_unseen_city_is_predicted_as_its_state(tmp_path: Path) -> None:
    found = hierarchy(tmp_path, 1)
    assert found["r2_city"] < 0.2
    assert found["r2_hierarchy"] > 0.9
    assert found["r2_hierarchy"] > found["r2_city_and_state"] - 0.05


@pytest.mark.slow
def test_weights_of_the_loss_move_errors_from_the_rare_kind_to_the_common_one(tmp_path: Path) -> None:
    found = loss_weights(tmp_path, 1)
    assert found["mae_rare_without"] == pytest.approx(2.7, abs=0.4)
    assert found["mae_rare_auto"] == pytest.approx(1.5, abs=0.4)
    assert found["mae_common_without"] == pytest.approx(0.3, abs=0.4)
    assert found["mae_common_auto"] == pytest.approx(1.5, abs=0.4)
    assert found["mae_rare_effective"] < found["mae_rare_without"] - 0.5
    assert found["mae_rare_manual"] == pytest.approx(found["mae_rare_auto"], abs=0.6)  # 9 to 1, as auto has it

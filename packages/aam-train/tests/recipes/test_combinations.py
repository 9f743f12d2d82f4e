"""Heads, fusions, losses, transforms and links together: each combination works whole, or is refused by name.

Works whole: two steps, saved, loaded, the same predictions. Everything is that of `aam train`; the embeddings of the
samples are drawn, so that a combination takes a fraction of a second.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aam_data.options.files import MetadataOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.study.study import Study
from aam_models.config.conditioning import ConditioningOptions
from aam_models.config.predictor_options import HeadOptions, OutputOptions
from aam_models.requested import PREDICTION
from aam_models.storage.folders import new_folder
from aam_models.storage.model_folder import load_model, save_model
from aam_train.data.loading import BatchRequest
from aam_train.engine.embedding_table import EmbeddingTable
from aam_train.engine.gradients import gradients
from aam_train.engine.optimizer import build_optimizer
from aam_train.engine.step import Step
from aam_train.engine.update import Update
from aam_train.evaluation.inference import run_samples
from aam_train.evaluation.predictions import make_predictions
from aam_train.options.objective import TrainObjective
from aam_train.options.recipe_configs import TrainConfig
from aam_train.parallel.strategy import Single
from aam_train.reporting.console import ConsoleReporter
from aam_train.setup.predictor_setup import StartingPoint, set_up_predictor, splits_of
from aam_train.setup.run_context import RunContext
from aam_train.setup.training_setup import TrainingSetup
from aam_train.signals import StopFlag

LOCATION, SEASON = ("location",), ("season",)
HEADS: dict[str, dict[str, Any]] = {
    "linear": {},
    "mlp": {"regressor_hidden_dims": (6,), "regressor_dropout": 0.2},
    "residual": {"regressor_hidden_dims": (6,), "residual_regression_head": True},
    "film": {"regressor_hidden_dims": (6, 5), "film_conditioning": ("location,season",)},
    "experts": {"moe_experts": 3, "moe_routing": "season"},
    "all": {
        "regressor_hidden_dims": (6,),
        "residual_regression_head": True,
        "film_conditioning": LOCATION,
        "moe_experts": 2,
        "moe_routing": "location",
        "target_layer_norm": False,
    },
    "film without layers": {"film_conditioning": LOCATION},
    "residual without layers": {"residual_regression_head": True},
}
FUSIONS = ("none", "concat", "add", "gmu", "cross-attention", "perceiver")
LOSSES: dict[str, dict[str, Any]] = {
    "mse": {"loss_type": "mse"},
    "mae": {"loss_type": "mae"},
    "huber": {"huber_delta": 0.5},
    "quantile": {"loss_type": "quantile"},
    "asymmetric": {"loss_type": "asymmetric", "over_penalty": 2.0},
    "several": {"loss_config": '{"age": {"type": "quantile", "quantiles": [0.25, 0.5]}, "0": "mae"}'},
    "classes": {},
    "weighted classes": {"class_weights": "auto"},
    "quantiles of classes": {"loss_type": "quantile"},
}
TRANSFORMS = (None, "none", "minmax", "zscore", "zscore-category", "log-minmax", "log-zscore")
LINKS: dict[str, dict[str, Any]] = {
    "none": {},
    "scale": {"learnable_output_scale": True},
    "conditional": {"conditional_output_scaling": ("location", "season")},
    "relu": {"output_activation": "relu"},
    "softplus": {"output_activation": "softplus"},
    "exp": {"output_activation": "exp"},
    "bounded": {"bounded_targets": True},
    "scaled bounds": {
        "learnable_output_scale": True,
        "conditional_output_scaling": SEASON,
        "bounded_targets": True,
    },
    "bounded relu": {"bounded_targets": True, "output_activation": "relu"},
}
AXES: tuple[tuple[Any, ...], ...] = (tuple(HEADS), FUSIONS, tuple(LOSSES), TRANSFORMS, tuple(LINKS))
Combination = tuple[str, str, str, str | None, str]


def combinations() -> list[Combination]:
    """Every pair of values of two axes at least once, and further ones, the same ones always."""
    every = list(itertools.product(*AXES))
    random.Random(0).shuffle(every)
    places = list(itertools.combinations(range(len(AXES)), 2))
    seen: set[tuple[Any, ...]] = set()
    chosen: list[Combination] = []
    for one in every:
        pairs = {(i, j, one[i], one[j]) for i, j in places}
        if pairs - seen and (len(pairs - seen) > 3 or len(seen) > 300):
            chosen.append(one)  # type: ignore[arg-type]
            seen |= pairs
    working = [one for one in every if not reasons(one)]  # type: ignore[arg-type]
    return list(dict.fromkeys([*chosen, *working[:120]]))  # type: ignore[list-item]


def reasons(combination: Combination) -> list[tuple[str, str]]:
    """The pairs of flags that contradict each other; any of them may be what is told."""
    head, _, loss, transform, link = combination
    classes, activation = "classes" in loss, LINKS[link].get("output_activation")
    found = []
    if "without layers" in head:
        found.append(
            (f"--{'film-conditioning' if 'film' in head else 'residual-regression-head'}", "--regressor-hidden")
        )
    if classes and transform is not None:
        found.append(("--classifier", "--target-transform"))
    if classes and link != "none":
        found += [("--classifier", f"--{name.replace('_', '-')}") for name in LINKS[link]]
    if loss == "quantiles of classes":
        found.append(("--classifier", "--loss-type quantile"))
    if link == "bounded relu":
        found.append(("--bounded-targets", "--output-activation relu"))
    if activation and transform == "zscore-category":
        found.append(("--output-activation", "--normalize-by"))
    return found


def build(combination: Combination, make: Callable[..., TrainConfig], files: Path, folder: Path) -> TrainConfig:
    """The settings of a run. Raises ValueError for what is refused."""
    head, fusion, loss, transform, link = combination
    columns = ("degree_days", "age") if loss == "several" else ("degree_days",)
    by = LOCATION if transform == "zscore-category" else ()
    sections: dict[str, Any] = {
        "metadata": MetadataOptions(files / "metadata.tsv"),
        "head": HeadOptions(**HEADS[head]),
        "link": OutputOptions(**LINKS[link]),
        "objective": TrainObjective(**LOSSES[loss]),
        "target": TargetOptions(("status",), True, transform, by)  # type: ignore[arg-type]
        if "classes" in loss
        else TargetOptions(columns, False, transform, by),  # type: ignore[arg-type]
    }
    if fusion != "none":
        sections["category"] = CategoryOptions(categorical_columns=LOCATION, numeric_columns=("depth",))
        sections["conditioning"] = ConditioningOptions(
            4, fusion, **({"cross_attn_heads": 2} if "cross" in fusion else {})
        )
    return make(folder / "run", **sections)


def embeddings(study: Study) -> EmbeddingTable:
    rows = np.arange(study.table.n_samples)
    table = EmbeddingTable(rows, len(rows), 16, torch.device("cpu"))
    table.put(torch.from_numpy(rows), torch.randn(len(rows), 16, generator=torch.Generator().manual_seed(0)))
    return table


def prepare(config: TrainConfig, study: Study) -> TrainingSetup:
    """A model and its data, sample embeddings given."""
    context = RunContext(Single(torch.device("cpu")), StopFlag(), ConsoleReporter(quiet=True))
    (split,) = splits_of(config, study, np.arange(study.table.n_samples))
    ready = set_up_predictor(config, study, StartingPoint(None, 0), split, context, is_new=True)
    ready.step.frozen, ready.step.sample_table = True, embeddings(study)
    for parameter in ready.step.encoder.parameters():
        parameter.requires_grad_(False)
    return ready


def predict(step: Step, ready: TrainingSetup, preprocessor: Preprocessor) -> list[np.ndarray]:
    """Everything that is predicted, in the targets' own terms."""
    rows = np.arange(24)
    outputs = run_samples(step, ready.data.maker, rows, 7, PREDICTION).outputs
    assert outputs is not None
    found = make_predictions(preprocessor, rows, outputs, ready.data.scales)
    shares = [] if found.probabilities is None else [found.probabilities]
    return [outputs, found.values, *shares, *(each for each in found.quantiles if each is not None)]


@pytest.mark.filterwarnings("ignore:warning")
@pytest.mark.parametrize("combination", combinations(), ids=lambda one: "-".join(map(str, one)))
def test_a_combination_works_whole_or_is_refused_by_name(
    combination: Combination, train_config: Callable[..., TrainConfig], files: Path, study: Study, tmp_path: Path
) -> None:
    why = reasons(combination)
    if why:
        with pytest.raises(ValueError, match="--") as refusal:
            build(combination, train_config, files, tmp_path)
        assert any(one in str(refusal.value) and other in str(refusal.value) for one, other in why), refusal.value
        return
    config = build(combination, train_config, files, tmp_path)
    ready = prepare(config, study)
    model, maker = ready.step.model, ready.data.maker
    before = predict(ready.step, ready, ready.data.preprocessor)
    update = Update(build_optimizer(model, replace(config.optimizer, lr=0.05)), None, 1.0)
    rows = ready.data.rows["train"]
    for half in (rows[::2], rows[1::2]):
        ready.step.train_mode()
        update.optimizer.zero_grad()
        batch = maker[BatchRequest(half, 0, ready.objective.corruptions)]
        result = gradients(ready.step, ready.objective, update, [batch])
        update.apply()
        assert np.isfinite([*result.losses.values(), result.grad_norm]).all()
        assert set(result.losses) == {"total", "target", *(["balance"] if config.head.moe_experts else [])}
    after = predict(ready.step, ready, ready.data.preprocessor)
    assert all(np.isfinite(each).all() for each in after if each.dtype != object)
    assert not np.array_equal(before[0], after[0])

    with new_folder(tmp_path / "model") as folder:
        save_model(folder, model)  # type: ignore[arg-type]
        (folder / "preprocessor.json").write_text(json.dumps(ready.data.preprocessor.to_dict()))
    text = (tmp_path / "model" / "preprocessor.json").read_text()
    loaded = Step(load_model(tmp_path / "model"), torch.device("cpu"), frozen=True)
    loaded.sample_table = embeddings(study)
    again = predict(loaded, ready, Preprocessor.from_dict(json.loads(text)))
    for one, other in zip(after, again, strict=True):
        np.testing.assert_array_equal(one, other)
    keeps_its_promises(config, ready, after)


def keeps_its_promises(config: TrainConfig, ready: TrainingSetup, predicted: list[np.ndarray]) -> None:
    """Quantiles ascend, activations stay at 0 or above, bounds within the training values."""
    if ready.data.preprocessor.labels is not None:
        np.testing.assert_allclose(predicted[2].sum(axis=1), 1)
        return
    outputs, values, *quantiles = predicted
    widths = [target.spec.width for target in ready.data.preprocessor.targets]
    for part in np.split(outputs, np.cumsum(widths)[:-1], axis=1):
        assert (np.diff(part, axis=1) >= 0).all()
    for each in quantiles:
        assert (np.diff(each, axis=1) >= 0).all()
    everything = [values, *quantiles]
    if config.link.output_activation != "none":
        assert min(each.min() for each in everything) >= -1e-3
    if config.link.bounded_targets:
        metadata, train = ready.data.study.metadata, ready.data.rows["train"]
        assert metadata is not None
        for t, name in enumerate(config.target.metadata_column):
            truth = metadata.numeric(name)[train]
            assert values[:, t].min() >= np.nanmin(truth)
            assert values[:, t].max() <= np.nanmax(truth)


def test_there_are_150_combinations_and_every_pair_of_two_axes_is_among_them() -> None:
    chosen = combinations()
    assert len(chosen) >= 150
    assert sum(not reasons(one) for one in chosen) >= 120
    for i, j in itertools.combinations(range(len(AXES)), 2):
        assert {(one[i], one[j]) for one in chosen} == set(itertools.product(AXES[i], AXES[j]))

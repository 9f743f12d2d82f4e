"""A run without steps: features of a fixed encoder, or of sequences alone, and a head that is fitted in closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch

from aam_data.preprocessing.metadata_inputs import InputValues
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.splits.strata import group_codes
from aam_models.predictor.heads.linear import LinearHead
from aam_models.predictor.predictor import Predictor
from aam_models.requested import FEATURES
from aam_models.storage.model_folder import WEIGHTS, load_weights, read_weights
from aam_train.engine.optimizer import build_optimizer
from aam_train.evaluation.inference import run_samples
from aam_train.memory.profile import build_update
from aam_train.options.recipe_configs import TrainConfig
from aam_train.runs.checkpoints import BEST
from aam_train.runs.folder import RunFolder
from aam_train.runs.records import TrainingRecord
from aam_train.runs.saver import Saver
from aam_train.runs.state import TrainerState
from aam_train.setup.run_context import RunContext
from aam_train.setup.training_setup import TrainingSetup
from aam_train.setup.wide_features import fit_features
from aam_train.training.closed_form import LinearFit, fit_logistic, fit_ridge

LEARNED = ("train", "validation")  # parts of a split whose samples the head is fitted to: nothing stops early


@dataclass(frozen=True, eq=False)
class ProbeRun:
    """A probe from its features to its fitted head; see `TrainingRun` for the attributes."""

    config: TrainConfig
    folder: RunFolder
    context: RunContext
    setup: TrainingSetup
    record: TrainingRecord
    calibrated_preprocessor: Callable[[], Preprocessor]

    def run(self) -> int:
        """Fit the head, or take the one that was fitted before a restart, and leave the weights in the model.

        Returns:
            0, the number of steps.

        Raises:
            TrainError: all samples to learn from have the same class.
        """
        if self.folder.resume is None:
            self.fit_and_save()
        load_best(self.folder, self.setup, self.context)
        return 0

    def fit_and_save(self) -> None:
        """Fit features and head to all samples to learn from, and publish them as the best checkpoint."""
        penalties, strategy = self.fit(LEARNED), self.context.strategy
        update = build_update(self.setup.step, build_optimizer(self._model(), self.config.optimizer, None), 0.0)
        saver = Saver(
            checkpoints=self.folder.checkpoints,
            strategy=strategy,
            model=self._model(),
            update=update,
            current_preprocessor=self.calibrated_preprocessor,
            record=replace(self.record, penalties=penalties),
            best_metric=self.config.best_metric,
            steps_per_epoch=1,
        )
        saver.save_best(TrainerState(processes=strategy.ranks.size))

    def _model(self) -> Predictor:
        model = self.setup.step.model
        assert isinstance(model, Predictor)
        return model

    def fit(self, parts: Sequence[str]) -> dict[str, float]:
        """Fit features and head to the samples in these parts of the split; return the penalty of each target."""
        setup, data, model = self.setup, self.setup.data, self._model()
        rows = np.concatenate([data.rows[part] for part in parts if part in data.rows])
        assert model.features is not None
        assert isinstance(model.head, LinearHead)
        fit_features(model.features, setup.step, data, rows, self.config.run.seed)
        raw = run_samples(setup.step, data.maker, rows, self.config.run.batch_size, FEATURES).features
        assert raw is not None
        features = model.features.standardize(torch.from_numpy(raw)).numpy()
        fitted = self.context.ranks.on_rank_zero(lambda: self._head(model, rows, features).to_lists())
        with torch.no_grad():
            for name, tensor in model.head.state_dict().items():
                self.context.strategy.load_shard(tensor, torch.tensor(fitted["tensors"][name], dtype=tensor.dtype))
        penalties: dict[str, float] = fitted["penalties"]
        return penalties

    def _head(self, model: Predictor, rows: np.ndarray, features: np.ndarray) -> FittedHead:
        """Return the head, fitted to the samples ``rows`` with these features [R, F]."""
        data, note = self.setup.data, self.context.console.note
        inputs = HeadInputs.of(features, data.maker.collator.inputs, rows, model)
        fit = fit_outputs(inputs.values, rows, self.setup, self.record.class_weights, self.config.run.seed, note)
        bias = model.quantiles.invert(torch.from_numpy(fit.bias)).numpy()
        return FittedHead(inputs.tensors(fit.weight, bias), fit.penalties)


def load_best(folder: RunFolder, setup: TrainingSetup, context: RunContext) -> None:
    """Load the weights of a run's best checkpoint into its model."""
    best = folder.checkpoints.folder / BEST
    load_weights(setup.step.model, read_weights(best), str(best / WEIGHTS), context.strategy.load_shard)


@dataclass(frozen=True, eq=False)
class OutputFit:
    """Weights [W, all inputs] and biases [W] of all outputs before the quantiles, and the penalty of each target."""

    weight: np.ndarray
    bias: np.ndarray
    penalties: dict[str, float]


def fit_outputs(
    x: np.ndarray,
    rows: np.ndarray,
    setup: TrainingSetup,
    class_weights: Mapping[str, float],
    seed: int,
    note: Callable[[str], None],
) -> OutputFit:
    """Fit a linear map of inputs to the outputs of all targets, in closed form.

    Args:
        x: float64 [R, all inputs] of the samples ``rows``, with similar scales.
        rows: int64 [R] samples to learn from.
        setup: has their targets, weights and groups.
        class_weights: by class; empty for none.
        seed: random seed of the run.
        note: receives what was fitted, in words.
    """
    collator, preprocessor = setup.data.maker.collator, setup.data.preprocessor
    assert collator.targets is not None
    targets, groups = collator.targets[rows], groups_of_rows(setup, rows)
    weights = _weights(targets, collator.sample_weights, rows, class_weights)
    size = f"{len(rows):,} samples, {x.shape[1]:,} features"
    if preprocessor.labels is not None:
        fit = fit_logistic(x, targets[:, 0], groups, len(preprocessor.labels.names), seed, weights)
        note(f"logistic regression fitted in closed form: {size}, penalty {fit.penalty:.3g}")
        return OutputFit(fit.weight, fit.bias, {preprocessor.targets[0].spec.name: fit.penalty})
    penalties, parts = {}, []
    for target, values in zip(preprocessor.targets, targets.T, strict=True):
        fit = fit_ridge(x, values, groups, seed, weights)
        note(f"ridge regression of {target.spec.name} fitted: {size}, penalty {fit.penalty:.3g}")
        penalties[target.spec.name] = fit.penalty
        parts.append(with_quantiles(fit, values, target.quantiles))
    weight, bias = (np.concatenate(each) for each in zip(*parts, strict=True))
    return OutputFit(weight, bias, penalties)


def groups_of_rows(setup: TrainingSetup, rows: np.ndarray) -> np.ndarray:
    """Return the number of each sample's group, int64 [R]; a sample without a group is a group of its own."""
    groups = setup.inner_groups or {}
    return group_codes([groups.get(i) for i in setup.data.study.table.sample_ids[rows]])


def _weights(
    targets: np.ndarray, of_samples: np.ndarray | None, rows: np.ndarray, by_class: Mapping[str, float]
) -> np.ndarray:
    """Return the weight of each sample in the fit, float64 [R]: of its class, and of its categories."""
    weights = np.ones(len(rows)) if of_samples is None else of_samples[rows].astype(np.float64)
    if by_class:
        weights = weights * np.array(list(by_class.values()))[np.nan_to_num(targets[:, 0]).astype(np.int64)]
    return weights


@dataclass(frozen=True, eq=False)
class FittedHead:
    """Tensors of a fitted `LinearHead`, and the penalty of each target by its name."""

    tensors: dict[str, np.ndarray]
    penalties: dict[str, float]

    def to_lists(self) -> dict[str, Any]:
        """Return the contents as JSON types, for the other processes."""
        return {"tensors": {name: x.tolist() for name, x in self.tensors.items()}, "penalties": self.penalties}


@dataclass(frozen=True, eq=False)
class HeadInputs:
    """Features and metadata of R samples, side by side.

    Attributes:
        values: [R, F + 2 K + all categories]: features, covariates, and 1 for the category of each column.
        sizes: number of codes of each categorical column; the unknown category has no value.
    """

    values: np.ndarray
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, features: np.ndarray, inputs: InputValues | None, rows: np.ndarray, model: Predictor) -> Self:
        """Join the features [R, F] of the samples ``rows`` with the metadata that the model reads."""
        sizes = tuple(category.size for category in model.config.conditioning.categories)
        if inputs is None:
            return cls(features.astype(np.float64), sizes)
        pairs = zip(inputs.codes[rows].T, sizes, strict=True)
        ones = [codes[:, None] == np.arange(1, size) for codes, size in pairs]
        return cls(np.concatenate([features, inputs.covariates[rows], *ones], axis=1, dtype=np.float64), sizes)

    def tensors(self, weight: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
        """Return the tensors of a `LinearHead` with the weights [W, all inputs] and biases [W] of these inputs."""
        ends = np.cumsum([size - 1 for size in self.sizes], dtype=np.int64)
        n_linear = weight.shape[1] - (int(ends[-1]) if len(ends) else 0)
        parts = np.split(weight[:, n_linear:], ends[:-1], axis=1) if self.sizes else []
        unknown = np.zeros((1, len(weight)))
        tables = {f"categories.{column}.weight": np.concatenate([unknown, part.T]) for column, part in enumerate(parts)}
        return {"linear.weight": weight[:, :n_linear], "linear.bias": bias, **tables}


def with_quantiles(fit: LinearFit, target: np.ndarray, quantiles: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return weights [W, F] and biases [W] of a target's outputs; quantiles are those of out-of-fold residuals.

    Only the median depends on the features; the others are at constant distances from it, as the biases say.

    Args:
        fit: of the target's mean.
        target: [R], NaN = missing.
        quantiles: of the target; empty for its mean alone.
    """
    if not quantiles:
        return fit.weight, fit.bias
    residuals = target - fit.out_of_fold[:, 0]
    offsets = np.quantile(residuals[np.isfinite(residuals)], quantiles)
    weight = np.zeros((len(quantiles), fit.weight.shape[1]))
    weight[list(quantiles).index(0.5)] = fit.weight[0]
    return weight, fit.bias + offsets

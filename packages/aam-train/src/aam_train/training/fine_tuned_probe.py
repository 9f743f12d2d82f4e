"""A probe, and fine-tuning that starts from it and is kept only if validation samples clearly prefer it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from aam_models.predictor.predictor import Predictor
from aam_models.requested import PREDICTION
from aam_train.evaluation.inference import run_samples
from aam_train.options.recipe_configs import TrainConfig
from aam_train.runs.checkpoints import BEST, checkpoint_name
from aam_train.training.fit import TrainingRun
from aam_train.training.probe import ProbeRun, groups_of_rows, load_best

EPOCHS, RATE = 10, 1e-4


@dataclass(frozen=True, eq=False)
class FineTunedProbeRun:
    """A probe of the training samples, fine-tuned, and the choice between the two.

    Attributes:
        probe: fits the head; its encoder has gradients.
        steps: trains all weights from there, with `steps_config`.
    """

    probe: ProbeRun
    steps: TrainingRun

    def run(self) -> int:
        """Fit a probe, fine-tune it, keep the better one, and leave its weights in the model.

        The probe is first fitted to the training samples alone, so that both are compared on samples that neither has
        seen. If it is kept, it is then fitted to the validation samples too, as any probe.

        Returns:
            The last step; 0 if the probe was kept.
        """
        setup, context, checkpoints = self.probe.setup, self.probe.context, self.probe.folder.checkpoints
        best = context.ranks.on_rank_zero(lambda: checkpoints.resolve(BEST))
        if best == checkpoint_name(0):  # the probe was kept before a restart
            load_best(self.probe.folder, setup, context)
            return 0
        model, note = setup.step.model, context.console.note
        assert isinstance(model, Predictor)
        pretrained = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
        self.probe.fit(("train",))
        setup.step.asv_table = None  # embeddings change from now on
        before = self._losses()
        last = self.steps.run()
        gain = Gain.of(before - self._losses(), groups_of_rows(setup, setup.data.rows["validation"]))
        words = f"validation loss lower by {gain.mean:.4f} (standard error {gain.error:.4f})"
        if gain.is_clear:
            note(f"fine-tuning is kept: {words}")
            return last
        note(f"fine-tuning is not kept: {words}; it must be lower by more than a standard error")
        with torch.no_grad():
            for name, tensor in model.encoder.state_dict().items():
                tensor.copy_(pretrained[name])
        self.probe.fit_and_save()
        return 0

    def _losses(self) -> np.ndarray:
        """Return the loss of each validation sample, float64 [R], 0 where no target is known."""
        setup, config = self.probe.setup, self.probe.config
        rows, target = setup.data.rows["validation"], setup.objective.target
        outputs = run_samples(setup.step, setup.data.maker, rows, config.run.batch_size, PREDICTION).outputs
        targets = setup.data.maker.collator.targets
        assert outputs is not None
        assert target is not None
        assert targets is not None
        on_device = [torch.from_numpy(each).to(setup.step.device) for each in (outputs, targets[rows])]
        losses = target.loss.values(*on_device) * target.loss.weights(on_device[1])
        per_sample: np.ndarray = losses.sum(dim=1).double().cpu().numpy()
        return per_sample


class Gain(NamedTuple):
    """Mean of what each sample gains, and its standard error, for which the samples of a group count as one."""

    mean: float
    error: float

    @classmethod
    def of(cls, gains: np.ndarray, groups: np.ndarray) -> Gain:
        """Compute both from gains [R] and group codes [R]."""
        mean, n_groups = float(gains.mean()), len(np.unique(groups))
        sums = np.bincount(groups, gains - mean)
        spread = float(np.square(sums).sum()) * n_groups / max(n_groups - 1, 1)
        return cls(mean, math.sqrt(spread) / len(gains) if n_groups > 1 else math.inf)

    @property
    def is_clear(self) -> bool:
        """Return whether the gain is larger than its standard error."""
        return self.mean > self.error


def steps_config(config: TrainConfig) -> TrainConfig:
    """Return the settings of the steps after a probe: few epochs at a small rate."""
    run, optimizer = replace(config.run, epochs=EPOCHS), replace(config.optimizer, lr=RATE)
    return replace(config, run=run, optimizer=optimizer)

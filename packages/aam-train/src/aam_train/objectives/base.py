"""A pretraining objective: everything that AAM must know to learn one thing without labels.

Axes: B samples of this process, N samples of all processes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from torch import Tensor

from aam_data.options.base import UnifracMetric
from aam_data.unifrac.pair_targets import PairTargets
from aam_models.batch.batch import Batch, EncoderOutput
from aam_models.encoder.encoder import Encoder
from aam_models.requested import RequestedOutputs
from aam_train.data.corruptions import Corruptions
from aam_train.data.loading import BatchMaker
from aam_train.data.run_data import RunData
from aam_train.engine.step import Step
from aam_train.evaluation.inference import SampleOutputs
from aam_train.losses.objective import EncoderPart, TrueValues
from aam_train.options.objective import MaskingOptions

Gather = Callable[[Tensor, Sequence[int]], Tensor]


@dataclass(frozen=True, eq=False)
class Sources:
    """What objectives are built from.

    Attributes:
        pairs: true distances and Faith's PD; None when neither is learned.
        metric: of the distances.
        masking: what is hidden from the model.
        has_tree: whether ``pairs`` know Faith's PD, which a distance matrix does not hold.
    """

    pairs: PairTargets | None = None
    metric: UnifracMetric = "unifrac"
    masking: MaskingOptions = field(default_factory=MaskingOptions)
    has_tree: bool = True


class SampleSet(NamedTuple):
    """Samples to evaluate an encoder on.

    Attributes:
        rows: int64 rows of the samples.
        asv_rows: int64 ASVs in their fixed draws, each once, ascending.
    """

    maker: BatchMaker
    rows: np.ndarray
    asv_rows: np.ndarray
    batch_size: int


@dataclass(frozen=True, eq=False)
class Validated:
    """Result of one objective on held-out samples.

    Attributes:
        metrics: by the names under which they are logged.
        loss: as in training, without its weight.
        truth, predicted: true and predicted values where both are defined, for objectives that predict numbers.
    """

    metrics: dict[str, float]
    loss: float
    truth: np.ndarray | None = None
    predicted: np.ndarray | None = None


class PretrainingObjective(ABC):
    """One term of the pretraining loss.

    A subclass defines what training batches hide (``corruptions``), what is looked up for a batch (`look_up`), what its
    loss is a mean over (`count`), the loss, how its head is calibrated before the first step, and how it is validated
    and reported. The head itself is in aam_models, under the same name.

    Attributes:
        name: key of the loss in logs and of the head in model folders.
        trains: the parts of the encoder that its gradient reaches.
        gathers: whether the loss of a process depends on the embeddings of others.
        encodes_asvs: whether validation encodes unmasked ASVs, so that they are worth caching.
        needs_sample_size: whether the encoder must know how many ASVs a sample has.
        weight: of this term in the total loss.
        corruptions: changes to training batches, such as masks; none by default.
    """

    name: ClassVar[str]
    trains: ClassVar[frozenset[EncoderPart]]
    gathers: ClassVar[bool] = False
    encodes_asvs: ClassVar[bool] = True
    needs_sample_size: ClassVar[bool] = False
    corruptions: Corruptions = ()

    def __init__(self, weight: float, sources: Sources) -> None:
        self.weight = weight

    @classmethod
    def is_evaluable(cls, sources: Sources) -> bool:
        """Return whether `aam evaluate` can evaluate a stored encoder with these sources."""
        return True

    @property
    @abstractmethod
    def reads(self) -> RequestedOutputs:
        """The outputs of the encoder that the loss needs."""

    def look_up(self, rows: np.ndarray, everyone: np.ndarray, draw: int) -> Tensor | None:
        """Look up the true values of a batch on the host; None by default, when the batch itself holds them.

        Args:
            rows: int64 [B] samples of this process.
            everyone: int64 [N] samples of all processes.
            draw: of the samples.
        """
        return None

    @abstractmethod
    def count(self, batch: Batch, true: TrueValues) -> float:
        """Count what the loss of a batch is a sum over; on the host."""

    @abstractmethod
    def loss(
        self, encoder: Encoder, encoded: EncoderOutput, batch: Batch, true: TrueValues, gather: Gather | None
    ) -> Tensor | None:
        """Return the sum of the losses of a batch, a scalar; None when the batch has nothing to predict.

        Args:
            gather: returns the embeddings of all processes; None for a single process.
        """

    def calibrate(self, step: Step, data: RunData, batch_size: int) -> None:
        """Set what the head takes from training samples before the first step; nothing by default."""
        return

    @classmethod
    def calibration_key(cls, distances: tuple[str, float, float]) -> tuple[object, ...]:
        """Return what a calibration depends on: it is kept when the key of a pretrained encoder is the same.

        Args:
            distances: metric, alpha and scale of the distances.
        """
        return ()

    @property
    def reads_in_validation(self) -> RequestedOutputs | None:
        """The outputs of a pass over whole samples that `validate` needs; None for none."""
        return None

    @abstractmethod
    def validate(self, step: Step, samples: SampleSet, outputs: SampleOutputs | None) -> Validated:
        """Evaluate the encoder on samples under the fixed draw.

        Args:
            outputs: of the pass that `reads_in_validation` asked for.
        """

    def constant(self, data: RunData) -> float | None:
        """Return the constant prediction to compare with, in own units; None without one."""
        return None

    def report(self, step: Step, data: RunData, result: Validated, folder: Path | None) -> dict[str, Any]:
        """Compute what the report of held-out samples shows besides the metrics, and draw plots.

        Args:
            result: of `validate` on the held-out samples.
            folder: for plots; None on all processes but the first.
        """
        return {}

    @classmethod
    def describe(cls, results: Mapping[str, Any]) -> list[str]:
        """Put the reported results of held-out samples into sentences."""
        return []

"""Publishing the state of a run as checkpoints, whole or in parts, and putting it back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_models.encoder.encoder import Encoder
from aam_models.predictor.predictor import Predictor
from aam_models.storage.folders import new_folder
from aam_models.storage.model_folder import WEIGHTS, load_weights, read_tensors, read_weights
from aam_train.engine.optimizer import load_optimizer_tensors, optimizer_tensors
from aam_train.engine.update import Update
from aam_train.errors import TrainError
from aam_train.parallel.strategy import Strategy, whole_tensors
from aam_train.runs.checkpoints import BEST, LAST, PARTS, Checkpoints, checkpoint_name, not_saved
from aam_train.runs.model_files import STATE_TENSORS, read_progress, write_checkpoint, write_parts_rest
from aam_train.runs.records import TrainingRecord
from aam_train.runs.sharded_checkpoint import MODEL, OPTIMIZER, PartTensors, write_index, write_part
from aam_train.runs.state import Progress


@dataclass(frozen=True, eq=False)
class Saver:
    """What checkpoints of a run are made of. Its methods are entered by all processes.

    Attributes:
        preprocessor_now: what was fitted, intervals for the weights of now among it; entered by all processes.
        record: what every checkpoint says of itself; step and metrics are filled in.
        best_metric: what chooses the best one.
    """

    checkpoints: Checkpoints
    strategy: Strategy
    model: Encoder | Predictor
    update: Update
    preprocessor_now: Callable[[], Preprocessor]
    record: TrainingRecord
    best_metric: str
    steps_per_epoch: int

    def save_best(self, progress: Progress) -> None:
        """A whole checkpoint of now, which is a model folder; ``best`` points to it."""
        self._save_whole(progress, BEST)

    def save_last(self, progress: Progress) -> None:
        """A checkpoint to continue from; ``last`` points to it. In parts where the strategy says so."""
        name = self._name(progress)
        if not self.strategy.sharded_checkpoint or self.strategy.ranks.first(lambda: self.checkpoints.has(name)):
            self._save_whole(progress, LAST)
        else:
            self._save_parts(progress)

    def _name(self, progress: Progress, *, parts: bool = False) -> str:
        return checkpoint_name(progress.step, judged=progress.is_judged(self.steps_per_epoch), parts=parts)

    def _save_whole(self, progress: Progress, pointer: str) -> None:
        name, record = self._name(progress), self._record(progress)
        preprocessor = self.preprocessor_now()
        weights = whole_tensors(self.strategy, self.model.state_dict())
        state = whole_tensors(self.strategy, optimizer_tensors(self.model, self.update.optimizer))

        def write(folder: Path) -> None:
            write_checkpoint(folder, self.model, weights, preprocessor, record, state, progress)

        def publish() -> None:
            self.checkpoints.save(name, write)
            self.checkpoints.point(pointer, name)

        self.strategy.ranks.first(publish)

    def _save_parts(self, progress: Progress) -> None:
        ranks, name = self.strategy.ranks, self._name(progress, parts=True)
        path, record = self.checkpoints.folder / name, self._record(progress)
        if ranks.first(lambda: self.checkpoints.has(name)):
            ranks.first(lambda: self.checkpoints.point(LAST, name))
            return
        preprocessor = self.preprocessor_now()
        state = optimizer_tensors(self.model, self.update.optimizer)
        tensors = {f"{MODEL}{key}": tensor for key, tensor in self.model.state_dict().items()}
        tensors |= {f"{OPTIMIZER}{key}": tensor for key, tensor in state.items()}
        try:
            with contextlib.ExitStack() as opened:  # of the first process: where all write, renamed at the end
                folder = Path(ranks.first(lambda: str(opened.enter_context(new_folder(path)))))
                problem: OSError | None = None
                try:
                    write_part(folder, tensors, ranks.rank, ranks.size)
                except OSError as error:
                    problem = error
                failed = ranks.numbers([problem is not None])[:, 0]
                if problem is not None:
                    raise problem
                if failed.any():
                    raise TrainError(
                        f"{path}: process {int(failed.argmax())} could not write its part of the checkpoint"
                    )

                def finish() -> None:
                    write_index(folder, tensors, ranks.size)
                    write_parts_rest(folder, self.model, preprocessor, record, progress)
                    opened.close()
                    self.checkpoints.point(LAST, name)

                ranks.first(finish)
        except OSError as error:
            raise not_saved(path, error) from error

    def _record(self, progress: Progress) -> TrainingRecord:
        progress.scaler = self.update.state()
        return replace(
            self.record,
            step=progress.step,
            validation=progress.validation,
            best_metric=self.best_metric,
            best_value=progress.best_value,
        )


def restore(
    checkpoint: Path, model: Encoder | Predictor, optimizer: torch.optim.Optimizer, strategy: Strategy
) -> Progress:
    """Weights, optimizer and progress of a checkpoint that has been verified, whatever saved it."""
    weights: Mapping[str, Tensor]
    state: Mapping[str, Tensor]
    if (checkpoint / PARTS).is_file():
        weights, state = PartTensors(checkpoint, MODEL), PartTensors(checkpoint, OPTIMIZER)
        file = checkpoint / PARTS
    else:
        weights, state = read_weights(checkpoint), read_tensors(checkpoint / STATE_TENSORS)
        file = checkpoint / WEIGHTS
    load_weights(model, weights, str(file), strategy.fill)
    load_optimizer_tensors(model, optimizer, state, strategy.like)
    return read_progress(checkpoint)

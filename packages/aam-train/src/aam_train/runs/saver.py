"""Checkpoint writer and reader of a run; checkpoints are whole or sharded."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from aam_data.errors import first_few
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_models.encoder.encoder import Encoder
from aam_models.predictor.predictor import Predictor
from aam_models.storage.folders import new_folder
from aam_models.storage.model_folder import WEIGHTS, load_weights, read_tensors, read_weights
from aam_train.engine.optimizer import load_optimizer_tensors, optimizer_tensors
from aam_train.engine.update import Update
from aam_train.errors import TrainError
from aam_train.parallel import torch_compat as compat
from aam_train.parallel.strategy import Strategy, gather_full_tensors
from aam_train.runs.checkpoints import BEST, LAST, SHARD_INDEX, Checkpoints, checkpoint_name, save_error
from aam_train.runs.model_files import (
    STATE_TENSORS,
    read_trainer_state,
    write_checkpoint,
    write_sharded_metadata,
)
from aam_train.runs.records import TrainingRecord
from aam_train.runs.sharded_checkpoint import MODEL, OPTIMIZER, ShardedTensors, write_index, write_shard
from aam_train.runs.state import TrainerState


@dataclass(frozen=True, eq=False)
class Saver:
    """Writer of a run's checkpoints. All processes call its methods.

    Attributes:
        current_preprocessor: returns the fitted preprocessor, with intervals calibrated for the current weights; all
            processes call it.
        record: the ``training.json`` of every checkpoint; step and metrics are filled in.
        best_metric: the metric that selects the best checkpoint.
    """

    checkpoints: Checkpoints
    strategy: Strategy
    model: Encoder | Predictor
    update: Update
    current_preprocessor: Callable[[], Preprocessor]
    record: TrainingRecord
    best_metric: str
    steps_per_epoch: int

    def save_best(self, state: TrainerState) -> None:
        """Save a whole checkpoint of the current state, which is a model folder, and point ``best`` to it."""
        self._save_whole(state, BEST)

    def save_last(self, state: TrainerState) -> None:
        """Save a checkpoint to resume from, sharded if the strategy asks for it, and point ``last`` to it."""
        name = self._name(state)
        if not self.strategy.sharded_checkpoint or self.strategy.ranks.on_rank_zero(lambda: self.checkpoints.has(name)):
            self._save_whole(state, LAST)
        else:
            self._save_sharded(state)

    def _name(self, state: TrainerState, *, sharded: bool = False) -> str:
        return checkpoint_name(state.step, validated=state.is_validated(self.steps_per_epoch), sharded=sharded)

    def _check_weights(self, state: TrainerState) -> None:
        """Raise TrainError on all processes if a weight is not finite: such a checkpoint could not be loaded."""
        tensors = ((name, compat.local_shard(tensor)) for name, tensor in self.model.state_dict().items())
        broken = [name for name, tensor in tensors if not torch.isfinite(tensor).all()]
        if any(self.strategy.ranks.all_reduce_max([bool(broken)])):
            where = first_few(broken) or "on another process"
            raise TrainError(
                f"step {state.step}: weights are not finite any more ({where}). Lower "
                "--lr or --weight-decay; older checkpoints are unchanged"
            )

    def _save_whole(self, state: TrainerState, pointer: str) -> None:
        self._check_weights(state)
        name, record = self._name(state), self._record(state)
        preprocessor = self.current_preprocessor()
        weights = gather_full_tensors(self.strategy, self.model.state_dict())
        optimizer = gather_full_tensors(self.strategy, optimizer_tensors(self.model, self.update.optimizer))

        def write(folder: Path) -> None:
            write_checkpoint(folder, self.model, weights, preprocessor, record, optimizer, state)

        def publish() -> None:
            self.checkpoints.save(name, write)
            self.checkpoints.point(pointer, name)

        self.strategy.ranks.on_rank_zero(publish)

    def _save_sharded(self, state: TrainerState) -> None:
        self._check_weights(state)
        ranks, shards, name = self.strategy.ranks, self.strategy.shards, self._name(state, sharded=True)
        path, record = self.checkpoints.folder / name, self._record(state)
        if ranks.on_rank_zero(lambda: self.checkpoints.has(name)):
            ranks.on_rank_zero(lambda: self.checkpoints.point(LAST, name))
            return
        preprocessor = self.current_preprocessor()
        optimizer = optimizer_tensors(self.model, self.update.optimizer)
        tensors = {f"{MODEL}{key}": tensor for key, tensor in self.model.state_dict().items()}
        tensors |= {f"{OPTIMIZER}{key}": tensor for key, tensor in optimizer.items()}
        try:
            with contextlib.ExitStack() as opened:  # the first process makes and renames the folder that all write to
                folder = Path(ranks.on_rank_zero(lambda: str(opened.enter_context(new_folder(path)))))
                problem: OSError | None = None
                try:
                    if ranks.rank < shards:  # the others have the same ones
                        write_shard(folder, tensors, ranks.rank, shards)
                except OSError as error:
                    problem = error
                failed = ranks.all_gather([problem is not None])[:, 0]
                if problem is not None:
                    raise problem
                if failed.any():
                    raise TrainError(
                        f"{path}: process {int(failed.argmax())} could not write its shard of the checkpoint"
                    )

                def finish() -> None:
                    write_index(folder, tensors, shards)
                    write_sharded_metadata(folder, self.model, preprocessor, record, state)
                    opened.close()
                    self.checkpoints.point(LAST, name)

                ranks.on_rank_zero(finish)
        except OSError as error:
            raise save_error(path, error) from error

    def _record(self, state: TrainerState) -> TrainingRecord:
        state.scaler = self.update.state()
        return replace(
            self.record,
            step=state.step,
            validation=state.validation,
            best_metric=self.best_metric,
            best_value=state.best_value,
        )


def restore(
    checkpoint: Path, model: Encoder | Predictor, optimizer: torch.optim.Optimizer, strategy: Strategy
) -> TrainerState:
    """Load weights and optimizer from a verified checkpoint, whole or sharded, and return the trainer's state."""
    weights: Mapping[str, Tensor]
    optimizer_state: Mapping[str, Tensor]
    if (checkpoint / SHARD_INDEX).is_file():
        weights, optimizer_state = ShardedTensors(checkpoint, MODEL), ShardedTensors(checkpoint, OPTIMIZER)
        file = checkpoint / SHARD_INDEX
    else:
        weights, optimizer_state = read_weights(checkpoint), read_tensors(checkpoint / STATE_TENSORS)
        file = checkpoint / WEIGHTS
    load_weights(model, weights, str(file), strategy.load_shard)
    load_optimizer_tensors(model, optimizer, optimizer_state, strategy.shard_like)
    return read_trainer_state(checkpoint)

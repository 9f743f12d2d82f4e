"""`aam embed`: embeddings of samples or ASVs, and the distances that the model predicts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from aam_data.unifrac.unifrac import Block
from aam_data.unifrac.write import write_distances
from aam_data.writers.atomic import replacing
from aam_models.encoder.distance_head import DistanceHead
from aam_models.requested import EMBEDDINGS
from aam_models.storage.folders import sha256
from aam_models.storage.model_folder import WEIGHTS
from aam_train.device.device import resolve_device
from aam_train.device.precision import Compute, trusted_attention
from aam_train.engine.step import Step
from aam_train.errors import TrainError
from aam_train.evaluation.inference import embed_asvs, evaluating, run_samples
from aam_train.files import write_table
from aam_train.options.recipe_configs import EmbedConfig
from aam_train.recipes.inputs import ModelInputs, read_embed_inputs
from aam_train.recipes.loaded_model import use_model
from aam_train.reporting.console import ConsoleReporter
from aam_train.signals import StopFlag

_ROWS = 256  # of distances at once


def run_embed(config: EmbedConfig, inputs: ModelInputs | None = None, *, quiet: bool = False) -> list[Path]:
    """Embed every sample of a table, or every ASV; returns the files written.

    Args:
        config: all settings.
        inputs: what `read_embed_inputs` of the same settings gave; read here by default.
        quiet: print warnings only.

    Raises:
        DataError, ModelError, TrainError: something the user can change; nothing was written.
        RunStopped: after a signal; nothing was written.
    """
    console, device = ConsoleReporter(quiet=quiet), resolve_device(config.embed.device)
    with StopFlag() as stop, trusted_attention(Compute(device), console):
        return _embed(config, inputs or read_embed_inputs(config), device, stop, console)


def _embed(
    config: EmbedConfig, inputs: ModelInputs, device: torch.device, stop: StopFlag, console: ConsoleReporter
) -> list[Path]:
    options, study = config.embed, inputs.study
    used = use_model(inputs, options.model, device, stop, console)
    head = used.step.encoder.distance_head
    if options.distances is not None and head is None:
        raise TrainError(f"--distances: {options.model} has not learned distances (--penalty was 0)")
    used.step.scratch = options.output.parent
    if options.level == "asv":
        asvs = np.arange(study.table.n_features)
        table = embed_asvs(used.step, used.maker, asvs)
        # every id of the file has its row, also those of features that have one sequence
        names = [study.sequences.merged_ids.get(a, (name,)) for a, name in enumerate(study.table.feature_ids)]
        rows = np.repeat(asvs, [len(ids) for ids in names])
        embeddings = table.take(torch.from_numpy(rows)).cpu().numpy()
        _write(options.output, "feature-id", list(chain.from_iterable(names)), embeddings)
        console.note(f"{len(rows):,} ASVs embedded in {embeddings.shape[1]} dimensions")
        return [options.output]
    found = run_samples(used.step, used.maker, used.rows, options.batch_size, EMBEDDINGS).embeddings
    assert found is not None
    embeddings = found
    ids = study.table.sample_ids[used.rows]
    _write(options.output, "sample-id", ids.tolist(), embeddings)
    console.note(f"{len(ids):,} samples embedded in {embeddings.shape[1]} dimensions, {len(used.skipped):,} not")
    if options.distances is None:
        return [options.output]
    assert head is not None
    points = torch.from_numpy(embeddings).to(used.step.device)
    key = f"aam embed {sha256(inputs.folder / WEIGHTS)} {study.inputs[0].sha256}"
    scale = used.step.encoder.config.distance_scale
    write_distances(options.distances, ids, lambda first: _blocks(used.step, head, points, scale, first), key)
    return [options.output, options.distances]


def _blocks(step: Step, head: DistanceHead, points: torch.Tensor, scale: float, first: int) -> Iterator[Block]:
    """Predicted distances of all pairs; 0 of a sample to itself, where the head's map has its floor."""
    n = len(points)
    starts = list(range(0, n, _ROWS))
    with evaluating(step):
        for number, start in enumerate(starts):
            if number < first:
                continue
            step.check_stop()
            stop = min(start + _ROWS, n)
            rows = [head(points[i : i + 1], points[start:]).cpu().numpy() for i in range(start, stop)]
            values = np.stack(rows).astype(np.float64) * scale
            square = np.triu(values[:, : stop - start], 1)
            values[:, : stop - start] = square + square.T
            share = 1 - ((n - stop) / n) ** 2
            yield Block(slice(start, stop), slice(start, n), values, number, share)


def _write(path: Path, header: str, ids: list[str], embeddings: np.ndarray) -> None:
    if path.suffix == ".npz":
        with replacing(path) as temporary:
            np.savez(temporary, ids=np.array(ids, dtype=np.str_), embeddings=embeddings)
        return
    names = [f"D{d + 1}" for d in range(embeddings.shape[1])]
    rows = ([name, *(f"{value:.9g}" for value in row)] for name, row in zip(ids, embeddings, strict=True))
    write_table(path, [header, *names], rows)

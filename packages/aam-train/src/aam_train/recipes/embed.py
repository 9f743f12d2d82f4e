"""`aam embed`: embeddings of samples or ASVs, and the distances that the model predicts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from aam_data.unifrac.unifrac import Block
from aam_data.unifrac.write import write_distances
from aam_data.writers.atomic import atomic_write
from aam_data.writers.plain_files import sole_writer
from aam_models.encoder.distance_head import DistanceHead
from aam_models.predictor.predictor import Predictor
from aam_models.requested import EMBEDDINGS, FEATURES
from aam_models.storage.folders import sha256
from aam_models.storage.model_folder import WEIGHTS
from aam_train.engine.step import Step
from aam_train.errors import TrainError
from aam_train.evaluation.inference import embed_asvs, evaluating, run_samples
from aam_train.evaluation.predictions import check_finite
from aam_train.files import write_table
from aam_train.options.commands import EmbedOptions
from aam_train.options.recipe_configs import EmbedConfig
from aam_train.recipes.inputs import ModelInputs, read_embed_inputs
from aam_train.recipes.launch import run_inference
from aam_train.recipes.loaded_model import LoadedModel, load_for_inference
from aam_train.setup.run_context import RunContext

_ROWS = 256  # of the distance matrix at once


def embed(config: EmbedConfig, inputs: ModelInputs | None = None, *, quiet: bool = False) -> list[Path]:
    """Embed every sample of a table, or every ASV.

    Args:
        config: all settings.
        inputs: as returned by `read_embed_inputs` for the same settings; read here by default.
        quiet: print warnings only.

    Returns:
        The files written.

    Raises:
        DataError, ModelError, TrainError: something the user can change; nothing was written.
        RunStopped: after a signal; nothing was written.

    Example:
        >>> options = EmbedOptions(Path("runs/encoder"), Path("embeddings.tsv"))
        >>> embed(EmbedConfig(TableOptions(Path("table.biom")), options))  # doctest: +SKIP
        [PosixPath('embeddings.tsv')]
    """
    options, read = config.embed, lambda: inputs or read_embed_inputs(config)
    writer = sole_writer(options.output, overwrite=options.overwrite)
    return run_inference(_embed, config, read, device=options.device, writer=writer, quiet=quiet)


def _embed(config: EmbedConfig, inputs: ModelInputs, context: RunContext) -> list[Path]:
    options = config.embed
    loaded = load_for_inference(inputs, context)
    head = loaded.step.encoder.head("unifrac")
    if options.distances is not None and head is None:
        raise TrainError(f"--distances: {options.model} has not learned distances (--unifrac-weight was 0)")
    loaded.step.scratch = options.output.parent
    has_encoder = not loaded.step.encoder.config.is_absent
    if not has_encoder and (options.level == "asv" or options.features == "embedding"):
        flag = "--level asv" if options.level == "asv" else "--features embedding"
        raise TrainError(f"{flag}: {options.model} has no encoder, only features of samples. Omit it")
    if options.level == "asv":
        return _embed_asvs(config, inputs, loaded, context)
    embeddings = _embed_samples(config, inputs, loaded, context)
    if options.distances is None:
        return [options.output]
    assert isinstance(head, DistanceHead)
    ids = inputs.study.table.sample_ids[loaded.rows]
    points = torch.from_numpy(embeddings).to(context.device)
    key = f"aam embed {sha256(inputs.folder / WEIGHTS)} {inputs.study.inputs[0].sha256}"
    scale = loaded.step.encoder.config.distance_scale
    write_distances(options.distances, ids, lambda first: _blocks(loaded.step, head, points, scale, first), key)
    return [options.output, options.distances]


def _embed_asvs(config: EmbedConfig, inputs: ModelInputs, loaded: LoadedModel, context: RunContext) -> list[Path]:
    study = inputs.study
    asvs = np.arange(study.table.n_features)
    table = embed_asvs(loaded.step, loaded.maker, asvs)
    # every feature id of the file has a row, also those of features that share a sequence
    names = [study.sequences.merged_ids.get(a, (name,)) for a, name in enumerate(study.table.feature_ids)]
    rows = np.repeat(asvs, [len(ids) for ids in names])
    embeddings, ids = table.take(torch.from_numpy(rows)).cpu().numpy(), list(chain.from_iterable(names))
    check_finite(embeddings, ids, f"{config.embed.model}: embeddings")
    _write(config.embed.output, "feature-id", ids, embeddings)
    context.console.note(f"{len(rows):,} ASVs embedded in {embeddings.shape[1]} dimensions")
    return [config.embed.output]


def _embed_samples(config: EmbedConfig, inputs: ModelInputs, loaded: LoadedModel, context: RunContext) -> np.ndarray:
    """Write the embeddings of samples and return them, float32 [R, D]."""
    options, ids = config.embed, inputs.study.table.sample_ids[loaded.rows]
    requested = FEATURES if reads_features(options, loaded.step) else EMBEDDINGS
    outputs = run_samples(loaded.step, loaded.maker, loaded.rows, options.batch_size, requested)
    embeddings = outputs.features if requested.features else outputs.embeddings
    assert embeddings is not None
    check_finite(embeddings, ids, f"{options.model}: embeddings")
    _write(options.output, "sample-id", ids.tolist(), embeddings)
    n_skipped = len(loaded.skipped)
    context.console.note(f"{len(ids):,} samples embedded in {embeddings.shape[1]:,} dimensions, {n_skipped:,} not")
    return embeddings


def reads_features(options: EmbedOptions, step: Step) -> bool:
    """Return whether the wide features of samples are written; raise TrainError if the model has none."""
    model = step.model
    if isinstance(model, Predictor) and model.features is not None:
        return options.features == "wide" or step.encoder.config.is_absent
    if options.features == "wide":
        raise TrainError(
            f"--features wide: {options.model} has no wide features. Use a model of aam train --adaptation probe, or "
            "omit it"
        )
    return False


def _blocks(step: Step, head: DistanceHead, points: torch.Tensor, scale: float, first: int) -> Iterator[Block]:
    """Predict distances of all pairs, by blocks; 0 for a sample and itself, where the map of the head is above 0."""
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
        with atomic_write(path) as temporary:
            np.savez(temporary, ids=np.array(ids, dtype=np.str_), embeddings=embeddings)
        return
    names = [f"D{d + 1}" for d in range(embeddings.shape[1])]
    rows = ([name, *(f"{value:.9g}" for value in row)] for name, row in zip(ids, embeddings, strict=True))
    write_table(path, [header, *names], rows)

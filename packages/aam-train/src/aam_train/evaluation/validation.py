"""Judging a model on samples it did not train on: whole sets at once, so that batches do not matter."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aam_data.preprocessing.preprocessor import Preprocessor
from aam_models.requested import PREDICTION, Outputs
from aam_train.data.collate import Masking
from aam_train.data.loading import FIXED_DRAW, BatchMaker, BatchRequest
from aam_train.data.run_data import sample_for_pairs
from aam_train.engine.step import Step
from aam_train.evaluation.inference import (
    SampleOutputs,
    encoded_once,
    evaluating,
    predict_masked_bases,
    predict_taxa,
    run_passes,
    run_samples,
)
from aam_train.evaluation.metrics import (
    classification_metrics,
    mean_absolute_error,
    mean_of_defined,
    mean_squared_error,
    pearson,
    probabilities,
)
from aam_train.evaluation.predictions import make_predictions, number_metrics
from aam_train.losses.objective import Objective
from aam_train.losses.value_losses import count_hidden, hidden_count_loss
from aam_train.parallel.sharded_map import run_shared


class Validator(Protocol):
    """Gives the metrics of a model; ``val_loss`` is always among them."""

    def __call__(self, step: Step) -> dict[str, float]: ...


@dataclass(frozen=True, eq=False)
class Compared:
    """True and predicted values, where they are defined; None of what is not learned.

    Attributes:
        distances: [P] each, of pairs of samples.
        faith_pd: [R] each.
    """

    distances: tuple[np.ndarray, np.ndarray] | None = None
    faith_pd: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True, eq=False)
class EncoderValidator:
    """Pretraining's judge: all pairs of distances, masked bases and hidden counts under the fixed draw.

    Attributes:
        rows: int64 rows of the samples to judge on.
        asv_rows: int64 ASVs whose bases are masked, each once; those in the fixed draws of ``rows``.
    """

    maker: BatchMaker
    objective: Objective
    rows: np.ndarray
    asv_rows: np.ndarray
    batch_size: int

    def __call__(self, step: Step) -> dict[str, float]:
        return self.measure(step)[0]

    def measure(self, step: Step) -> tuple[dict[str, float], Compared]:
        """The metrics, and what those of samples are made of. Every ASV is encoded once, and once more with bases
        masked."""
        with self.encoded(step):
            return self._measure(step)

    def encoded(self, step: Step) -> AbstractContextManager[None]:
        """In here the ASVs of the samples are known, where anything but masked bases is judged."""
        weights = self.objective.weights
        if weights.unifrac or weights.faith_pd or weights.counts or weights.taxonomy:
            return encoded_once(step, self.maker, self.rows, [FIXED_DRAW])
        return nullcontext()

    def _measure(self, step: Step) -> tuple[dict[str, float], Compared]:
        weights = self.objective.weights
        found: dict[str, float] = {}
        losses: list[float] = []
        compared = Compared()
        if weights.unifrac or weights.faith_pd:
            wanted = Outputs(sample_embeddings=weights.unifrac > 0, faith_pd=weights.faith_pd > 0)
            outputs = run_samples(step, self.maker, self.rows, self.batch_size, wanted)
            if weights.unifrac:
                assert step.encoder.distance_head is not None
                assert outputs.embeddings is not None
                pairs = self.distances(step, outputs.embeddings)
                compared = replace(compared, distances=pairs)
                found |= _figures("unifrac", *pairs)
                spread = step.encoder.distance_head.spread * step.encoder.config.distance_scale
                losses.append(weights.unifrac * _loss(*pairs, spread))
            if weights.faith_pd:
                assert step.encoder.faith_pd_head is not None
                values = self.faith_pd(outputs.faith_pd)
                compared = replace(compared, faith_pd=values)
                found |= _figures("faith_pd", *values)
                losses.append(weights.faith_pd * _loss(*values, step.encoder.faith_pd_head.spread))
        if weights.nucleotides:
            masking = replace(self.objective.masking, count_ratio=0.0)
            _, _, base, logits = predict_masked_bases(step, self.maker, self.asv_rows, masking)
            found["nucleotide_accuracy"] = float((logits.argmax(axis=1) == base).mean())
            cross_entropy = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(base))
            losses.append(weights.nucleotides * float(cross_entropy))
        if weights.counts:
            found["count_mse"] = self._count_error(step)
            losses.append(weights.counts * found["count_mse"])
        if weights.taxonomy:
            taxa = self._taxa(step)
            found |= taxa
            losses.append(weights.taxonomy * found.pop("taxonomy_loss"))
        return {"val_loss": sum(losses), **found}, compared

    def _taxa(self, step: Step) -> dict[str, float]:
        """Cross-entropy and accuracy of the known taxa, each ASV once; accuracy at each rank as ``name:rank``."""
        assert self.maker.collator.taxa is not None
        codes, found = self.maker.collator.taxa[self.asv_rows], {}
        best, cross_entropy = predict_taxa(step, self.maker, self.asv_rows)
        right, known = best == codes, codes >= 0
        for rank in range(codes.shape[1]):
            of_rank = right[known[:, rank], rank]
            found[f"taxonomy_accuracy:{rank + 1}"] = float(of_rank.mean()) if len(of_rank) else float("nan")
        n_known = max(int(known.sum()), 1)
        total = float(cross_entropy.sum(dtype=np.float64))
        return {"taxonomy_loss": total / n_known, "taxonomy_accuracy": float(right.sum() / n_known)} | found

    def distances(self, step: Step, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """True and predicted distances of all pairs of the samples (or of a subset), where defined, in the metric's own
        units; [P] each."""
        assert self.objective.pairs is not None
        assert step.encoder.distance_head is not None
        chosen = sample_for_pairs(len(self.rows))
        rows = self.rows[chosen]
        matrix = self.objective.pairs.pairs(rows, rows, FIXED_DRAW)
        points = torch.from_numpy(embeddings[chosen]).to(step.device)
        head = step.encoder.distance_head
        with evaluating(step):  # a row at a time: memory for all pairs at once may not be there
            predicted = [head(points[i : i + 1], points[i + 1 :]).cpu().numpy() for i in range(len(rows))]
        scale = step.encoder.config.distance_scale
        return _known(matrix[np.triu_indices(len(rows), 1)] * scale, np.concatenate(predicted) * scale)

    def errors_of_constants(self, constants: dict[str, float], distance_scale: float) -> dict[str, float]:
        """Mean absolute errors of predicting constants without looking, of what is learned.

        Args:
            constants: "unifrac" and "faith_pd" in own units, see `encoder_report.constants_of`.
            distance_scale: of the encoder.
        """
        weights, found = self.objective.weights, {}
        if weights.unifrac and "unifrac" in constants:
            assert self.objective.pairs is not None
            rows = self.rows[sample_for_pairs(len(self.rows))]
            truth = self.objective.pairs.pairs(rows, rows, FIXED_DRAW)[np.triu_indices(len(rows), 1)] * distance_scale
            found["unifrac_mae"] = mean_absolute_error(truth[np.isfinite(truth)], constants["unifrac"])
        if weights.faith_pd and "faith_pd" in constants:
            assert self.objective.pairs is not None
            truth = self.objective.pairs.values(self.rows, FIXED_DRAW)
            found["faith_pd_mae"] = mean_absolute_error(truth[np.isfinite(truth)], constants["faith_pd"])
        return found

    def faith_pd(self, predicted: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """True and predicted Faith's PD where defined."""
        assert self.objective.pairs is not None
        assert predicted is not None
        return _known(self.objective.pairs.values(self.rows, FIXED_DRAW), predicted)

    def _count_error(self, step: Step) -> float:
        """Mean squared error of hidden standardized log abundances."""
        masking = Masking(count_ratio=self.objective.masking.count_ratio)

        def run(rows: np.ndarray) -> tuple[Tensor, ...]:
            step.check_stop()
            batch = self.maker[BatchRequest(rows, FIXED_DRAW, masking)]
            predicted = step.run(batch, Outputs(log_abundance=True)).encoded.log_abundance
            assert predicted is not None
            sums = [[float(hidden_count_loss(predicted, batch.to(step.device))), count_hidden(batch)]]
            return (torch.tensor(sums, dtype=torch.float64, device=step.device),)

        with evaluating(step):
            (found,) = run_shared(step.strategy.ranks, self.rows, self.batch_size, run, one_row_each=False)
        total, count = found.sum(dim=0).tolist()
        return float(total / max(count, 1))


@dataclass(frozen=True, eq=False)
class PredictorValidator:
    """Fine-tuning's judge: the loss, weighted as in training, and the metrics of the targets, in their own units.

    Attributes:
        rows: int64 [R] rows of the samples to judge on.
        scales: int64 [R, T] theirs, see `Preprocessor.scales_of`.
        passes: fixed draws of the samples whose outputs are averaged.
    """

    maker: BatchMaker
    objective: Objective
    preprocessor: Preprocessor
    rows: np.ndarray
    scales: np.ndarray
    batch_size: int
    passes: int = 1

    def __call__(self, step: Step) -> dict[str, float]:
        assert self.objective.target is not None
        assert self.maker.collator.targets is not None
        passes = run_passes(step, self.maker, self.rows, self.batch_size, PREDICTION, self.passes)
        outputs = mean_outputs(passes, is_classes=self.preprocessor.labels is not None)
        targets = self.maker.collator.targets[self.rows]
        loss = self.objective.target
        every_weight = self.maker.collator.sample_weights
        on_host = [torch.from_numpy(outputs), torch.from_numpy(targets)]
        on_host += [] if every_weight is None else [torch.from_numpy(every_weight[self.rows])]
        value = loss.sum(*(each.to(step.device) for each in on_host)).item() / (loss.count(*on_host[1:]) or 1.0)
        found = {"val_loss": value, **target_metrics(self.preprocessor, targets, outputs, self.scales)}
        return found | expert_use(passes)


def target_metrics(
    preprocessor: Preprocessor, targets: np.ndarray, outputs: np.ndarray, scales: np.ndarray | None = None
) -> dict[str, float]:
    """Metrics in the targets' own units; of several targets the means where defined, and each one's as ``r2:column``.

    Args:
        targets: [R, T] in transformed units or class codes, NaN = missing.
        outputs: [R, W] in transformed units or logits.
        scales: [R, T] of the samples, see `Preprocessor.invert`.
    """
    if preprocessor.labels is not None:
        known = np.isfinite(targets[:, 0])
        return classification_metrics(targets[known, 0].astype(np.int64), probabilities(outputs[known]))
    truth = preprocessor.invert(targets, scales)
    predicted = make_predictions(preprocessor, np.arange(len(truth)), outputs, scales)
    each = [number_metrics(truth[:, t], predicted, t) for t in range(truth.shape[1])]
    if len(each) == 1:
        return each[0]
    named = zip(preprocessor.targets, each, strict=True)
    shared = [name for name in each[0] if all(name in m for m in each)]
    means = {name: mean_of_defined([m[name] for m in each]) for name in shared}
    return means | {f"{name}:{target.spec.name}": value for target, m in named for name, value in m.items()}


def expert_use(passes: Sequence[SampleOutputs]) -> dict[str, float]:
    """Mean share of each expert of a mixture as ``expert_use:1``, and how many they are worth; {} without experts.

    ``experts_used`` is ``1 / sum p_k^2``: K when all are used alike, 1 when one does everything.
    """
    routing = [one.routing for one in passes if one.routing is not None]
    if not routing:
        return {}
    shares = np.concatenate(routing).mean(axis=0, dtype=np.float64)
    each = {f"expert_use:{number}": float(share) for number, share in enumerate(shares, 1)}
    return {"experts_used": float(1 / np.square(shares).sum()), **each}


def mean_outputs(passes: Sequence[SampleOutputs], *, is_classes: bool) -> np.ndarray:
    """Outputs [R, W] averaged over passes: in transformed units, or as the logarithms of mean probabilities."""
    found = [one.outputs for one in passes if one.outputs is not None]
    assert len(found) == len(passes)
    if len(found) == 1:
        return found[0]
    if is_classes:
        return np.log(np.mean([probabilities(logits) for logits in found], axis=0)).astype(np.float32)
    return np.stack(found).mean(axis=0, dtype=np.float64).astype(np.float32)


def _figures(name: str, truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    return {f"{name}_r": pearson(truth, predicted), f"{name}_mae": mean_absolute_error(truth, predicted)}


def _loss(truth: np.ndarray, predicted: np.ndarray, spread: Tensor) -> float:
    """Mean squared error in units of the training samples' spread, as in training."""
    return mean_squared_error(truth, predicted) / float(spread) ** 2


def _known(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(truth)
    return truth[known], predicted[known]

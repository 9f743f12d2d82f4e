"""One of several processes: metrics and outputs of 1 to 17 samples, compared with those of a single process.

``python validation.py STUDY RESULTS``.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from gradient_cases import ALL, CPU, Case, build, read

from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.samples import SampleOptions
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.study.study import read_study
from aam_models.predictor.predictor import Predictor
from aam_models.requested import EVERYTHING
from aam_train.data.loading import FIXED_DRAW
from aam_train.data.run_data import RunData
from aam_train.evaluation.inference import predict_masked_bases, run_samples
from aam_train.evaluation.validation import PredictorValidator
from aam_train.objectives.base import SampleSet
from aam_train.objectives.validation import EncoderValidator
from aam_train.options.compute import ComputeOptions
from aam_train.options.parallel import ParallelOptions
from aam_train.parallel.ddp import DataParallel
from aam_train.parallel.fsdp import FullyShard
from aam_train.parallel.process_group import process_group
from aam_train.parallel.strategy import Single, Strategy

ENCODER = Case("encoder", ALL, dtype=torch.float32)
PREDICTOR = Case("predictor", ALL, "mse", dtype=torch.float32)
BATCH = 3


def judge(data: RunData, strategy: Strategy, sizes: range, preprocessor: Preprocessor) -> dict[int, dict[str, float]]:
    """Return the metrics of the first n samples, by n, including the outputs themselves."""
    found: dict[int, dict[str, float]] = {}
    encoder, objective = build(ENCODER, data, strategy)
    predictor, target_objective = build(PREDICTOR, data, strategy)
    assert isinstance(predictor.model, Predictor)
    rng = np.random.default_rng(3)
    for n in sizes:
        rows = rng.permutation(data.rows["train"])[:n]
        drawn = data.maker.samples.samples(rows, FIXED_DRAW)
        asvs = np.unique(np.concatenate([sample.asv_rows for sample in drawn]))
        figures = EncoderValidator(objective.encoder, SampleSet(data.maker, rows, asvs, BATCH))(encoder)
        scales = np.zeros((n, 2), dtype=np.int64)
        assert target_objective.target is not None
        loss = target_objective.target.loss
        validator = PredictorValidator(data.maker, loss, preprocessor, rows, scales, BATCH)
        figures |= {f"target {name}": value for name, value in validator(predictor).items()}
        shown, truth = validator.last[0]  # what the plots of an epoch show, on every process
        figures |= {f"shown {row}": float(value) for row, value in enumerate(shown.values[:, 0])}
        figures |= {f"truth {row}": float(value) for row, value in enumerate(truth[:, 0])}
        outputs = run_samples(predictor, data.maker, rows, BATCH, EVERYTHING)
        assert outputs.outputs is not None
        for row, (pair, value) in enumerate(zip(outputs.outputs, outputs.values["faith_pd"], strict=True)):
            figures |= {f"output {row}.{t}": float(x) for t, x in enumerate(pair)} | {f"pd {row}": float(value)}
        bases = predict_masked_bases(encoder, data.maker, asvs[:n], objective.corruptions)
        figures["masked bases"] = float(len(bases[0]))
        found[n] = figures
    return found


def worst(found: dict[int, dict[str, float]], expected: dict[int, dict[str, float]]) -> float:
    differences = [0.0]
    for n, figures in expected.items():
        assert found[n].keys() == figures.keys()
        for name, value in figures.items():
            assert math.isnan(value) == math.isnan(found[n][name]), (n, name)
            if not math.isnan(value):
                differences.append(abs(found[n][name] - value) / max(1.0, abs(value)))
    return max(differences)


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    data = read(folder)
    study = read_study(TableOptions(folder / "table.biom"), MetadataOptions(folder / "metadata.tsv"))
    options, target = SampleOptions(rarefy_depth=100, max_bp=40), TargetOptions(("degree_days", "depth"))
    preprocessor = Preprocessor.fit(
        study, data.rows["train"], options, trim_length=0, rarefy_depth=100, seed=1, target=target
    )
    results = {}
    with process_group(ParallelOptions(distributed=True), ComputeOptions(), "cpu") as strategy:
        ranks = strategy.ranks
        expected = judge(data, Single(CPU), range(1, 18), preprocessor)
        results["ddp"] = worst(judge(data, DataParallel(CPU, ranks), range(1, 18), preprocessor), expected)
        few = {n: expected[n] for n in (1, 2, 3)}
        results["fsdp"] = worst(judge(data, FullyShard(CPU, ranks), range(1, 4), preprocessor), few)
        if ranks.is_rank_zero:
            Path(sys.argv[2]).write_text(json.dumps(results))


if __name__ == "__main__":
    main()

"""One training step on ibd, compared with a plain implementation of the same model: time, memory and loss.

The plain implementation uses nn.TransformerEncoder, encodes every occurrence of an ASV, and pads samples to the longest
in the batch. Weights, masks and loss are the same. Each variant runs in a separate process, because peak memory is per
process.

    python benchmarks/training_step.py                      # base: 128 wide, 4 + 4 layers, 32 samples
    python benchmarks/training_step.py --preset tiny --json step.json
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from machine import DATA, finish
from torch import Tensor, nn

from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.rarefaction import Rarefier, deep_enough
from aam_data.study.study import read_study
from aam_models.batch.batch import Batch, Chunk, PaddedGroup
from aam_models.batch.padding import pad
from aam_models.build import build_encoder
from aam_models.config.encoder import ModelOptions
from aam_models.encoder.encoder import Encoder
from aam_models.encoder.transformer import Block, Transformer
from aam_train.data.corruptions import HideCounts, MaskBases
from aam_train.data.loading import TrainingPlan
from aam_train.data.run_data import build_maker, build_pairs
from aam_train.device.malloc import keep_freed_memory
from aam_train.engine.step import Step
from aam_train.losses.objective import Counts, Objective, TrueValues
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_objective
from aam_train.setup.architecture import new_encoder_config

DEPTH, MAX_BP, SEED = 5000, 150, 0


class PlainTransformer(nn.Module):
    """nn.TransformerEncoder with the weights of AAM's blocks."""

    def __init__(self, ours: Transformer, dropout: float) -> None:
        super().__init__()
        blocks = [block for block in ours.blocks if isinstance(block, Block)]
        width = blocks[0].qkv.in_features
        layer = nn.TransformerEncoderLayer(
            width, blocks[0].heads, 4 * width, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, len(blocks), nn.LayerNorm(width), enable_nested_tensor=False)
        with torch.no_grad():
            for mine, theirs in zip(blocks, self.encoder.layers, strict=True):
                assert isinstance(theirs, nn.TransformerEncoderLayer)
                attention = theirs.self_attn
                attention.in_proj_weight.copy_(mine.qkv.weight)
                attention.in_proj_bias.copy_(mine.qkv.bias)
                attention.out_proj.load_state_dict(mine.attention_out.state_dict())
                theirs.linear1.load_state_dict(mine.mlp[0].state_dict())
                theirs.linear2.load_state_dict(mine.mlp[2].state_dict())
                theirs.norm1.load_state_dict(mine.attention_norm.state_dict())
                theirs.norm2.load_state_dict(mine.mlp_norm.state_dict())
            self.encoder.norm.load_state_dict(ours.norm.state_dict())

    def forward(self, x: Tensor, mask: Tensor | None = None, *, recompute: bool = False) -> Tensor:
        assert not recompute
        return self.encoder(x, src_key_padding_mask=None if mask is None else ~mask)


def plain_batch(batch: Batch, slots_per_sample: int) -> Batch:
    """Return the same samples with every occurrence as a separate ASV, padded to at least this many slots."""
    index, n = batch.asv_index, batch.n_occurrences
    # masked bases of each ASV, repeated for each of its occurrences
    per_asv = torch.bincount(batch.masked_rows, minlength=batch.n_asvs)
    first = torch.cumsum(per_asv, 0) - per_asv
    times = per_asv[index]
    rows = torch.repeat_interleave(torch.arange(n), times)
    within = torch.arange(len(rows)) - torch.repeat_interleave(torch.cumsum(times, 0) - times, times)
    source = first[index][rows] + within
    lengths = batch.lengths[index]
    uniform = bool((lengths == lengths[0]).all())
    return replace(
        pad_slots(batch, slots_per_sample),
        tokens=batch.tokens[index],
        lengths=lengths,
        asv_index=torch.arange(n),
        asv_rows=batch.asv_rows[index],
        chunks=(Chunk(0, n, int(lengths.max()), uniform, 0, len(rows)),),
        masked_rows=rows,
        masked_columns=batch.masked_columns[source],
        masked_bases=batch.masked_bases[source],
    )


def pad_slots(batch: Batch, slots_per_sample: int) -> Batch:
    """Pad all samples to the longest, or to at least this many slots."""
    one = (PaddedGroup(batch.n_samples, max(batch.longest, slots_per_sample)),)
    return replace(batch, **pad(batch.sample_ptr.diff().numpy(), one).fields())


def make_plain(encoder: Encoder, dropout: float) -> None:
    encoder.asv_encoder.transformer = PlainTransformer(encoder.asv_encoder.transformer, dropout)  # type: ignore[assignment]
    encoder.sample_encoder.transformer = PlainTransformer(encoder.sample_encoder.transformer, dropout)  # type: ignore[assignment]


@dataclass
class Case:
    """The inputs of a step: the model, one batch of ibd, its loss."""

    encoder: Encoder
    batch: Batch
    objective: Objective
    true: TrueValues
    counts: Counts
    n_study_asvs: int


def prepare(preset: str, batch_size: int, chunk_size: int = 256) -> Case:
    """Prepare the first training batch of ibd and a new model, the same in every process."""
    study = read_study(
        TableOptions(DATA / "ibd" / "table.biom"),
        None,
        PhylogenyOptions(tree=DATA / "ibd" / "insertion-tree.qza", missing_tips="ignore"),
    )
    rows = np.flatnonzero(deep_enough(study.table, DEPTH))
    rarefier = Rarefier(study.table, DEPTH, SEED)
    maker = build_maker(study, rarefier, Preprocessor(MAX_BP, 0, DEPTH, SEED, 1024), chunk_size)
    masking = (MaskBases(0.15), HideCounts(0.15))
    weights = {"unifrac": 1.0, "nucleotides": 1.0, "counts": 1.0}
    objective = build_objective(weights, Sources(build_pairs(study, rarefier, PhylogenyOptions())))
    torch.manual_seed(SEED)
    encoder = build_encoder(new_encoder_config(ModelOptions(preset=preset), MAX_BP, weights))  # type: ignore[arg-type]
    batch = maker[next(TrainingPlan(rows, batch_size, SEED, masking).epoch(0))[0]]
    true = objective.look_up(batch)
    return Case(encoder, batch, objective, true, objective.counts(batch, true), study.table.n_features)


def measure(variant: str, preset: str, batch_size: int, repeats: int) -> dict[str, float]:
    """Measure one variant in this process."""
    case = prepare(preset, batch_size)
    occurrences, distinct = case.batch.n_occurrences, case.batch.n_asvs
    if variant == "aam":
        keep_freed_memory()  # as a run does
    else:
        make_plain(case.encoder, 0.1 if variant == "customary" else 0.0)
        case.batch = plain_batch(case.batch, 1024 if variant == "customary" else 0)
    step = Step(case.encoder, torch.device("cpu"))
    return {**run_steps(step, case, repeats), "occurrences": occurrences, "distinct": distinct}


def run_steps(step: Step, case: Case, repeats: int) -> dict[str, float]:
    """Run forward and backward passes without an update; return medians and the peak of additional memory."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    seconds, cpu_seconds, loss = [], [], 0.0
    for _ in range(repeats):
        started, cpu_started = time.perf_counter(), time.process_time()
        case.encoder.zero_grad(set_to_none=True)
        total = step.losses(case.batch, case.objective, case.true, case.counts).total()
        total.backward()
        seconds.append(time.perf_counter() - started)
        cpu_seconds.append(time.process_time() - cpu_started)
        loss = float(total.detach())
        del total  # as in a run: the remains of the graph would lie between the next step's blocks
    usage = resource.getrusage(resource.RUSAGE_SELF)
    user, system = usage.ru_utime - before.ru_utime, usage.ru_stime - before.ru_stime
    return {
        "seconds": median(seconds),
        "cpu_seconds": median(cpu_seconds),
        "peak_mb": (usage.ru_maxrss - before.ru_maxrss) / 1024,
        "loss": loss,
        "faults": (usage.ru_minflt - before.ru_minflt) / repeats,
        "system_share": system / (user + system),
    }


def in_child(variant: str, preset: str, batch_size: int, repeats: int) -> dict[str, float]:
    arguments = ["--variant", variant, "--preset", preset, "--batch-size", str(batch_size), "--repeats", str(repeats)]
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="base", choices=["tiny", "base"])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--variant", choices=["aam", "plain", "customary"], help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.variant:
        print(json.dumps(measure(options.variant, options.preset, options.batch_size, options.repeats)))
        return
    runs = {
        "AAM": in_child("aam", options.preset, options.batch_size, options.repeats),
        "plain": in_child("plain", options.preset, options.batch_size, options.repeats),
        "AAM, 8 samples": in_child("aam", options.preset, 8, options.repeats),
        "plain with dropout 0.1, padded to 1024, 8 samples": in_child("customary", options.preset, 8, options.repeats),
    }
    print(f"{'':52}{'s/step':>9}{'peak MB':>9}{'loss':>10}{'system':>8}")
    for name, run in runs.items():
        print(f"{name:52}{run['seconds']:9.2f}{run['peak_mb']:9.0f}{run['loss']:10.4f}{run['system_share']:8.1%}")
    aam, plain, aam8, customary = runs.values()
    ratios = {
        "time": plain["seconds"] / aam["seconds"],
        "memory": plain["peak_mb"] / aam["peak_mb"],
        "loss_difference": abs(plain["loss"] - aam["loss"]),
        "time_customary": customary["seconds"] / aam8["seconds"],
    }
    print(
        f"plain / AAM: time {ratios['time']:.2f}, memory {ratios['memory']:.2f}; loss differs by "
        f"{ratios['loss_difference']:.1e}; customary / AAM at 8 samples: time {ratios['time_customary']:.2f}"
    )
    finish({"preset": options.preset, "batch_size": options.batch_size, "runs": runs, "ratios": ratios}, options.json)


if __name__ == "__main__":
    main()

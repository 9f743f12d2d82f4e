"""Step time and memory of `aam pretrain` on many GPUs by formula, from rates of one device and speeds of links.

``python benchmarks/scaling_plan.py [--flops 1.5e14] [--inside 4.5e11] [--between 5e10] [--json FILE]``

Only the time that the host needs for the targets is measured, on a simulated study. The rates are arguments, and the
table shows their consequences.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from machine import finish

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions
from aam_data.options.simulate import SimulateOptions
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.simulate.study import simulate_study, write_simulated_study
from aam_data.study.study import read_study
from aam_data.unifrac.pair_targets import TreeTargets
from aam_models.build import build_encoder
from aam_models.config.encoder import PRESETS, ModelOptions
from aam_train.setup.architecture import new_encoder_config

BATCH = 32  # samples of a process
ASVS, OCCURRENCES, LENGTH = 1781, 5643, 101  # of a batch of 32 samples of the ibd study
GPUS_IN_NODE = 8


def sizes(preset: str) -> tuple[int, int, int]:
    """Return the numbers of parameters: all, of the two encoders, of the larger encoder."""
    weights = {"unifrac": 1, "nucleotides": 1, "counts": 1}
    with torch.device("meta"):
        model = build_encoder(new_encoder_config(ModelOptions(preset=preset), 150, weights))
    units = [sum(p.numel() for p in unit.parameters()) for unit in (model.asv_encoder, model.sample_encoder)]
    return sum(p.numel() for p in model.parameters()), sum(units), max(units)


def flops(preset: str) -> float:
    """Return the operations of one training step of a process (three times those of the forward pass)."""
    size = PRESETS[preset]
    d, layers, each = size.width, size.layers, OCCURRENCES / BATCH
    asvs = ASVS * LENGTH * layers * (24 * d**2 + 4 * LENGTH * d)
    return 3 * (asvs + OCCURRENCES * layers * (24 * d**2 + 4 * each * d))


def host_seconds() -> float:
    """Return the seconds that the targets of a process's batch need per additional sample of the global batch."""
    with tempfile.TemporaryDirectory() as folder:
        write_simulated_study(simulate_study(SimulateOptions(samples=256, asvs=2000, depth=5000)), Path(folder))
        study = read_study(
            TableOptions(Path(folder) / "table.biom"),
            MetadataOptions(),
            PhylogenyOptions(tree=Path(folder) / "tree.nwk"),
        )
    assert study.phylogeny is not None
    targets = TreeTargets(study.phylogeny, Rarefier(study.table, 1000, 1))
    times = []
    for n in (64, 256):
        rows = np.arange(n)
        began = time.perf_counter()
        targets.pairs(rows[:BATCH], rows, 0)
        times.append(time.perf_counter() - began)
    return (times[1] - times[0]) / 192


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--flops", type=float, default=1.5e14, help="FLOP/s reached by one GPU")
    parser.add_argument("--inside", type=float, default=4.5e11, help="bytes per second between the GPUs of a node")
    parser.add_argument("--between", type=float, default=5e10, help="bytes per second of one GPU between nodes")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    per_sample = host_seconds()
    print(f"{args.flops:.3g} FLOP/s, {args.inside:.3g} and {args.between:.3g} bytes/s, batch {BATCH} per process")
    print(f"targets of one additional sample of the global batch: {1e3 * per_sample:.2f} ms on this host (measured)")
    print(
        "| preset | GPUs | samples a step | compute ms | targets ms | DDP link ms | FSDP link ms | DDP GB | FSDP GB |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    rows = []
    for preset in ("base", "large"):
        everything, divided, unit = sizes(preset)
        for gpus in (1, 8, 64, 512):
            link = args.inside if gpus <= GPUS_IN_NODE else args.between
            share = (gpus - 1) / gpus
            embeddings = 3 * share * 4 * gpus * BATCH * PRESETS[preset].width
            row = {
                "preset": preset,
                "gpus": gpus,
                "samples": gpus * BATCH,
                "compute_ms": 1e3 * flops(preset) / args.flops,
                "targets_ms": 1e3 * per_sample * gpus * BATCH,
                "ddp_link_ms": 1e3 * (2 * share * 4 * everything + embeddings) / link,
                "fsdp_link_ms": 1e3 * (share * (2 + 2 + 4) * divided + embeddings) / link,
                "ddp_gb": 16 * everything / 1e9,
                "fsdp_gb": (16 * divided / gpus + 8 * unit + 16 * (everything - divided)) / 1e9,
            }
            rows.append(row)
            print("| " + " | ".join(v if isinstance(v, str) else f"{v:.3g}" for v in row.values()) + " |")
    finish({"rates": vars(args) | {"json": None}, "rows": rows, "seconds_per_sample": per_sample}, args.json)


if __name__ == "__main__":
    main()

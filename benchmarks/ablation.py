"""Effect of each optimization of a training step on ibd, disabled one at a time, on time, memory and loss.

Each row runs in a separate process, because peak memory is per process. The rows take turns, forwards and backwards,
and values are medians over the rounds. "loss" is the difference from the step with all optimizations: 0 (to rounding)
if a row computes the same. Rows below the line are not optimizations that are on by default.

    python benchmarks/ablation.py                      # base: 128 wide, 4 + 4 layers, 32 samples
    python benchmarks/ablation.py --preset tiny --rounds 5 --json ablation.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import finish
from torch import Tensor, nn
from torch.nn import functional as F
from training_step import Case, pad_slots, plain_batch, prepare, run_steps

from aam_models.batch.batch import AsvOutput, Batch
from aam_models.encoder import transformer
from aam_models.encoder.asv.transformer_encoder import TransformerAsvEncoder
from aam_models.encoder.transformer import Block
from aam_models.requested import EMBEDDINGS, EVERYTHING, RequestedOutputs
from aam_train.data.collate import cut_chunks, mark_recomputed
from aam_train.device.malloc import keep_freed_memory
from aam_train.device.precision import Precision
from aam_train.engine.embedding_table import EmbeddingTable
from aam_train.engine.step import Step

CPU, CHUNK = torch.device("cpu"), 256
Change = Callable[[Case, Step], None]


class LogitsEverywhere(TransformerAsvEncoder):
    """Head that computes logits of every base, although the loss uses only the masked ones."""

    def forward(self, batch: Batch, outputs: RequestedOutputs = EVERYTHING) -> AsvOutput:
        embeddings, logits = [], []
        for chunk in batch.chunks:
            embedded = self._embed(batch, chunk)
            x = self.transformer(embedded.tokens, embedded.mask)
            assert embedded.site_sums is not None
            embeddings.append(self.pooling(x, embedded.mask) + embedded.site_sums)
            assert self.nucleotide_head is not None
            masked = slice(chunk.first_masked, chunk.last_masked)
            where = batch.masked_rows[masked] - chunk.start, batch.masked_columns[masked]
            logits.append(self.nucleotide_head(x)[where])
        return AsvOutput(torch.cat(embeddings), torch.cat(logits))


class DroppingBlock(Block):
    """Block with dropout 0.1 where nn.TransformerEncoderLayer has it: attention weights, attention, GELU, MLP."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        rows, positions, width = x.shape
        first, gelu, last = self.mlp
        qkv = self.qkv(self.attention_norm(x)).view(rows, positions, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attention_mask = None if mask is None else mask[:, None, None, :]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, dropout_p=0.1)
        x = x + F.dropout(self.attention_out(attended.transpose(1, 2).reshape(rows, positions, width)), 0.1)
        return x + F.dropout(last(F.dropout(gelu(first(self.mlp_norm(x))), 0.1)), 0.1)


def every_occurrence(case: Case, step: Step) -> None:
    batch = plain_batch(case.batch, 0)
    chunks = cut_chunks(batch.lengths.numpy(), CHUNK, batch.masked_rows.numpy())  # the lengths of ibd are all the same
    case.batch = replace(batch, chunks=chunks)


def one_chunk(case: Case, step: Step) -> None:
    lengths, masked = case.batch.lengths.numpy(), case.batch.masked_rows.numpy()
    case.batch = replace(case.batch, chunks=cut_chunks(lengths, 0, masked))


def mask_everywhere(case: Case, step: Step) -> None:
    case.batch = replace(case.batch, chunks=tuple(chunk._replace(uniform=False) for chunk in case.batch.chunks))


def logits_everywhere(case: Case, step: Step) -> None:
    case.encoder.asv_encoder.__class__ = LogitsEverywhere


def everything_kept(case: Case, step: Step) -> None:
    def norm_linear(x: Tensor, norm: nn.LayerNorm, linear: nn.Linear) -> Tensor:
        return F.linear(norm(x), linear.weight, linear.bias)

    def gelu_linear(x: Tensor, linear: nn.Linear) -> Tensor:
        return F.linear(F.gelu(x), linear.weight, linear.bias)

    transformer.norm_linear, transformer.gelu_linear = norm_linear, gelu_linear


def padded(case: Case, step: Step) -> None:
    case.batch = pad_slots(case.batch, 1024)


def dropout(case: Case, step: Step) -> None:
    for module in case.encoder.modules():
        if isinstance(module, Block):
            module.__class__ = DroppingBlock


def nothing(case: Case, step: Step) -> None:
    """Change nothing."""


def checkpointing(case: Case, step: Step) -> None:
    case.batch = replace(case.batch, chunks=mark_recomputed(case.batch.chunks, 0), recompute_samples=True)


def frozen_asvs(case: Case, step: Step) -> None:
    case.encoder.asv_encoder.requires_grad_(False)
    with torch.no_grad():
        embeddings = step.encode_asvs(case.batch, EMBEDDINGS).embeddings
    rows = case.batch.asv_rows
    step.asv_table = EmbeddingTable(rows.numpy(), case.n_study_asvs, embeddings.shape[1], CPU)
    step.asv_table.put(rows, embeddings)


def bf16(case: Case, step: Step) -> None:
    step.precision = Precision(CPU, "bf16")


OFF: dict[str, Change] = {
    "all on": nothing,
    "each occurrence of an ASV encoded": every_occurrence,
    "all ASVs in one chunk": one_chunk,
    "a mask for every chunk": mask_everywhere,
    "logits at every base": logits_everywhere,
    "LayerNorms and GELUs kept": everything_kept,
    "samples padded to 1024": padded,
    "dropout 0.1 in four places": dropout,
    "malloc gives memory back": nothing,
}
EXTRA: dict[str, Change] = {
    "gradient checkpointing": checkpointing,
    "ASV level frozen and cached": frozen_asvs,
    "bf16": bf16,
}
ROWS = OFF | EXTRA


def measure(row: str, preset: str, batch_size: int, repeats: int) -> dict[str, float]:
    """Measure one row in this process; the first step, which is not timed, measures memory."""
    if row != "malloc gives memory back":
        keep_freed_memory()
    case = prepare(preset, batch_size, CHUNK)
    step = Step(case.encoder, CPU)
    step.train_mode()
    ROWS[row](case, step)
    first = run_steps(step, case, 1)
    later = run_steps(step, case, repeats)
    return later | {"peak_mb": first["peak_mb"] + later["peak_mb"]}


def in_child(row: str, options: argparse.Namespace) -> dict[str, float]:
    numbers = ["--preset", options.preset, "--batch-size", str(options.batch_size), "--repeats", str(options.repeats)]
    done = subprocess.run([sys.executable, __file__, "--row", row, *numbers], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{row}: {done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="base", choices=["tiny", "base"])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3, help="timed steps per process")
    parser.add_argument("--rounds", type=int, default=3, help="processes per row")
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="rows whose name has one of these words")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(options.row, options.preset, options.batch_size, options.repeats)))
        return
    names = [
        name for name in ROWS if name == "all on" or not options.only or any(word in name for word in options.only)
    ]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(options.rounds):
        for name in names if number % 2 == 0 else reversed(names):
            runs[name].append(in_child(name, options))
    rows: dict[str, dict[str, Any]] = {}
    for name, found in runs.items():
        rows[name] = {key: median(run[key] for run in found) for key in found[0]}
    base = rows["all on"]
    print(
        f"{'':34}{'s/step':>9}{'times':>7}{'CPU s':>9}{'times':>7}{'peak MB':>9}{'times':>7}{'loss':>10}{'system':>8}"
    )
    for name, row in rows.items():
        if name == next(iter(EXTRA)):
            print("-" * 100)
        row["ratios"] = {key: row[key] / base[key] for key in ("seconds", "cpu_seconds", "peak_mb")}
        row["loss_difference"] = row["loss"] - base["loss"]
        pairs = "".join(
            f"{row[key]:9.{digits}f}{row['ratios'][key]:7.2f}"
            for key, digits in (("seconds", 2), ("cpu_seconds", 2), ("peak_mb", 0))
        )
        print(f"{name:34}{pairs}{row['loss_difference']:10.1e}{row['system_share']:8.1%}")
    settings = {name: getattr(options, name) for name in ("preset", "batch_size", "repeats", "rounds")}
    finish({**settings, "rows": rows}, options.json)


if __name__ == "__main__":
    main()

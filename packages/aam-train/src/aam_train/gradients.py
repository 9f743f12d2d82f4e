"""Gradients of one step: all its micro-batches as one mean."""

from __future__ import annotations

import torch

from aam_models.batch import Batch
from aam_train.compute import Update
from aam_train.objective import Counts, Objective
from aam_train.step import Step


def gradients(step: Step, objective: Objective, update: Update, batches: list[Batch]) -> tuple[dict[str, float], float]:
    """Add up gradients of all micro-batches of a step, clipped; gives the losses and the norm before clipping.

    Nothing waits for the device until all of them are under way: then everything comes over in one transfer.
    """
    true = [objective.look_up(batch) for batch in batches]
    counts: Counts = {}
    for batch, values in zip(batches, true, strict=True):
        for name, count in objective.counts(batch, values).items():
            counts[name] = counts.get(name, 0.0) + count
    sums: dict[str, torch.Tensor] = {}
    for batch, values in zip(batches, true, strict=True):
        losses = step.losses(batch, objective, values, counts)
        total = losses.total()
        update.backward(total)
        for name, value in [("total", total), *((name, term.value()) for name, term in losses.terms.items())]:
            sums[name] = value.detach() + sums[name] if name in sums else value.detach()
    norm = update.clip()
    *on_host, grad_norm = torch.stack([*sums.values(), norm]).tolist()
    return dict(zip(sums, on_host, strict=True)), grad_norm

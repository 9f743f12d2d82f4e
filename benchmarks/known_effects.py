"""Heads, links and losses on targets with a known effect, compared with the same model without them.

Sample embeddings are random (16 wide); all parts after the encoder are those of `aam train`. Prints the mean and range
over seeds. About three minutes.

    python benchmarks/known_effects.py --seeds 0 1 2 --json effects.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import finish

sys.path.insert(0, str(Path(__file__).parents[1] / "packages" / "aam-train" / "tests" / "effects"))
from effects import (  # the study is that of the tests
    Settings,
    draw,
    fit,
    flipped,
    head,
    heavy_tailed,
    noisy,
    plain,
    r2,
    rare_classes,
    shifted,
)

from aam_models.config.predictor_options import HeadOptions, OutputOptions
from aam_train.options.objective import TrainObjective

LOCATION = ("location",)
FILM, EXPERTS = {"film_conditioning": LOCATION}, {"moe_experts": 4, "moe_routing": "location"}
MODELS = {
    "no category": Settings(head((32,))),
    "concat, linear head": Settings(head(), fused=True),
    "concat, hidden layer": Settings(head((32,)), fused=True),
    "concat, linear head, LayerNorm": Settings(HeadOptions(), fused=True),
    "FiLM": Settings(head((32,), **FILM)),
    "experts": Settings(head(**EXPERTS)),
    "conditional scaling": Settings(head(), OutputOptions(conditional_output_scaling=LOCATION)),
}


def explained(settings: Settings, target: Callable[..., np.ndarray], seed: int) -> float:
    test = draw(4000, 1000 + seed, target)
    return r2(test.y, fit(settings, draw(1500, seed, target), seed).outputs(test)[:, 0])


def coverage(fused: bool, seed: int) -> dict[str, float]:
    train, test = draw(3000, seed, noisy), draw(8000, 1000 + seed, noisy)
    outputs = fit(Settings(head(), objective=TrainObjective("quantile"), fused=fused), train, seed).outputs(test)
    inside = (outputs[:, 0] <= test.y) & (test.y <= outputs[:, 2])
    shares = [float(inside[test.location == code].mean()) for code in range(1, 5)]
    return {"least": min(shares), "most": max(shares)}


def median_errors(loss: str, seed: int) -> dict[str, float]:
    train = draw(300, seed, heavy_tailed)
    signal, values = draw(4000, 1000 + seed, lambda s, *_: s), draw(4000, 1000 + seed, heavy_tailed)
    model = fit(Settings(head(), objective=TrainObjective(loss), steps=500), train, seed)
    return {
        "from the signal": float(np.median(np.abs(model.outputs(signal)[:, 0] - signal.y))),
        "from the values": float(np.median(np.abs(model.outputs(values)[:, 0] - values.y))),
    }


def cost(objective: TrainObjective, seed: int) -> float:
    train, test = draw(2000, seed, plain), draw(4000, 1000 + seed, plain)
    error = fit(Settings(head(), objective=objective), train, seed).outputs(test)[:, 0] - test.y
    return float(np.where(error > 0, error, -4 * error).mean())


def accuracies(weights: str | None, seed: int) -> dict[str, float]:
    train, test = draw(2000, seed, rare_classes), draw(6000, 1000 + seed, rare_classes)
    objective = TrainObjective(class_weights=weights)
    found = fit(Settings(head((16,)), objective=objective, classes=("a", "b", "c")), train, seed)
    chosen = found.outputs(test).argmax(axis=1)
    recalls = [float((chosen[test.y == code] == code).mean()) for code in range(3)]
    return {"balanced accuracy": float(np.mean(recalls)), "accuracy": float((chosen == test.y).mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--json", type=Path, help="also write the results to this JSON file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    report: dict[str, Any] = {"seeds": options.seeds}

    def show(task: str, name: str, score: Callable[[int], float | dict[str, float]]) -> None:
        found = [score(seed) for seed in options.seeds]
        columns = [one if isinstance(one, dict) else {"": one} for one in found]
        texts = []
        for key in columns[0]:
            values = [column[key] for column in columns]
            report.setdefault(task, {}).setdefault(name, {})[key or "value"] = values
            texts.append(f"{key} {np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})".strip())
        print(f"  {name:<32}{'; '.join(texts)}", flush=True)

    for task, target in (("the location flips the effect, R2", flipped), ("it shifts and scales, R2", shifted)):
        print(task)
        for name, settings in MODELS.items():
            show(task, name, lambda seed, s=settings, t=target: explained(s, t, seed))  # type: ignore[misc]
    task = "the location says how noisy: share within the 80 % interval, by location"
    print(task)
    show(task, "no category", lambda seed: coverage(False, seed))
    show(task, "concat", lambda seed: coverage(True, seed))
    task = "Student t(2): median absolute error"
    print(task)
    for loss in ("mse", "mae", "huber"):
        show(task, loss, lambda seed, kind=loss: median_errors(kind, seed))  # type: ignore[misc]
    task = "too low costs 4, too high 1: mean cost"
    print(task)
    show(task, "mae", lambda seed: cost(TrainObjective("mae"), seed))
    show(task, "asymmetric", lambda seed: cost(TrainObjective("asymmetric", under_penalty=4.0), seed))
    task = "classes of 91, 5 and 4 %"
    print(task)
    show(task, "no weights", lambda seed: accuracies(None, seed))
    show(task, "--class-weights auto", lambda seed: accuracies("auto", seed))
    finish(report, options.json)


if __name__ == "__main__":
    main()

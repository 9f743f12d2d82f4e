"""`aam` with a fault: ``python run.py KIND PROCESS STEP aam-arguments...``.

Before step STEP (counted from 1) process PROCESS gets a weight that is not a number (``nan``), the signal KIND
(``SIGKILL``, ``SIGSTOP``, ``SIGUSR1``, ...), or nothing (``none``).
"""

from __future__ import annotations

import os
import signal
import sys

import torch

from aam_cli.main import main
from aam_train.engine.step import Step


def install(kind: str, rank: int, step: int) -> None:
    prepare = Step.train_mode
    done = 0

    def train_mode(self: Step) -> None:
        nonlocal done
        prepare(self)
        done += 1
        if done != step or self.strategy.ranks.rank != rank or kind == "none":
            return
        if kind == "nan":
            with torch.no_grad():
                next(self.encoder.parameters()).fill_(float("nan"))
        else:
            os.kill(os.getpid(), getattr(signal, kind))

    Step.train_mode = train_mode  # type: ignore[method-assign]


if __name__ == "__main__":
    torch.set_num_threads(1)
    install(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    del sys.argv[1:4]
    main()

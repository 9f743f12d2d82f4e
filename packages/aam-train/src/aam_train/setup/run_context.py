"""One process of a run: its strategy, its stop flag and its console, carried as one thing."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from aam_train.parallel.ranks import Ranks
from aam_train.parallel.strategy import Strategy
from aam_train.reporting.console import ConsoleReporter
from aam_train.signals import StopFlag


@dataclass(frozen=True, eq=False)
class RunContext:
    """Everything about a process that does not depend on what is run.

    Attributes:
        strategy: how the model is divided among processes.
        stop: set by signals.
        console: silent on all processes but the first.
    """

    strategy: Strategy
    stop: StopFlag
    console: ConsoleReporter

    @property
    def ranks(self) -> Ranks:
        """The processes of the run."""
        return self.strategy.ranks

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return self.strategy.device

"""Errors and stops of the engine."""

from __future__ import annotations


class TrainError(ValueError):
    """Something about a run that a user can change. The message is one complete line."""


class RunStopped(Exception):
    """A signal ended the run after a finished step; a checkpoint was saved.

    Attributes:
        exit_code: 143 for SIGTERM, 130 for SIGINT, 85 for SIGUSR1.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code

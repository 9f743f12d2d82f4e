"""Errors and stop signals of training and inference."""

from __future__ import annotations


class TrainError(ValueError):
    """Error that the user can fix. The message is one complete line."""


class RunStopped(Exception):
    """Stop of a run by a signal, after a finished step; a checkpoint was saved.

    Attributes:
        exit_code: 143 for SIGTERM, 130 for SIGINT, 85 for SIGUSR1, 129 for SIGHUP.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code

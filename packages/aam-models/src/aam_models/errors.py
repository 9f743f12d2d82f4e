"""Errors about models and model folders that a user can act on."""

from __future__ import annotations


class ModelError(ValueError):
    """A model, its configuration or its folder is not what it has to be. The message is one complete line."""

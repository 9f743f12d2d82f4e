"""Checks of a study before training."""

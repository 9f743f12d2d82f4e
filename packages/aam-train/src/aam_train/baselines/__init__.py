"""Baselines that every model is compared with, on the same samples and draw."""

"""Inference, metrics, reports and baselines."""

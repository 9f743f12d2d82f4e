"""Metadata as input of a predictor."""

"""Descriptions of models, runs and data files."""

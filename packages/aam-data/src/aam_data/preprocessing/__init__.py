"""Transforms that are fitted on training samples."""

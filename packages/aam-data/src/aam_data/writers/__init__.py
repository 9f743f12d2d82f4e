"""Atomic, resumable and BIOM output files."""

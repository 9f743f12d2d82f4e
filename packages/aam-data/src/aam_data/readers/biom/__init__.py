"""Readers of feature tables: BIOM 2.1, BIOM 1.0 and text."""

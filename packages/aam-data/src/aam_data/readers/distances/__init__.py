"""Readers of distance matrices and Faith's PD."""

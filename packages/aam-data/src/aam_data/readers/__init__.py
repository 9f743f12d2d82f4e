"""Readers of every supported file format; they return checked arrays."""

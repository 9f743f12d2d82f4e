"""Pretraining objectives: one class each, and one table that names them."""

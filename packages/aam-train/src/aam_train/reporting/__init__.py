"""Reporters of progress: console, JSON lines, TensorBoard."""

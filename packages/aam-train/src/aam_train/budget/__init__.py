"""Batches by what they need of memory: measured with real training steps, then planned."""

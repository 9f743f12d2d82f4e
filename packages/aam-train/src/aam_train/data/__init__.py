"""Studies to batches."""

"""From studies to batches: splits, collation, masking and loading."""

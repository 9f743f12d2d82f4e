"""The run folder on disk: checkpoints, records, locks."""

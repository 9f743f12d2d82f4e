"""Features of a sample for its head."""

"""The largest batch that fits in memory."""

"""The predictor: fusion with metadata, head and output link."""

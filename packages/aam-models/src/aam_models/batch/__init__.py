"""Input and output of a model."""

"""A model that is ready for its first step."""

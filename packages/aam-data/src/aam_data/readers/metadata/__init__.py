"""Sample metadata in text tables."""

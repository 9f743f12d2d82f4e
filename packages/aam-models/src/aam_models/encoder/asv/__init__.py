"""Encoders of ASVs: from bases to one vector per sequence."""

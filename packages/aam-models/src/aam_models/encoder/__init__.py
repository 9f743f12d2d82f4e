"""The encoder: bases to ASVs to samples."""

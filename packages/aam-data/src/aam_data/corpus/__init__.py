"""Corpora: several studies in one folder of files that are mapped to memory."""

"""The aam command."""

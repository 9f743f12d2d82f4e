"""The ``aam`` command."""

"""Entry point of ``python -m aam_cli``, the same program as ``aam``."""

from aam_cli.main import main

main()

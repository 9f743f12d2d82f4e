"""``python -m aam_cli`` is ``aam``."""

from aam_cli.main import main

main()

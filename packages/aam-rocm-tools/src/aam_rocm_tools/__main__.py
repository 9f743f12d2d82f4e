"""Entry point of ``python -m aam_rocm_tools``, the same program as ``aam-rocm``."""

from aam_rocm_tools.main import main

main()

"""Check of attention on this machine: ``python -m aam_rocm_tools.attention_diagnostic``, or ``aam-rocm attention``.

It compares every backend of ``scaled_dot_product_attention`` that runs here with the plain formula in float64: outputs
and gradients, with and without masks, in every precision, in the shapes that AAM uses.
"""

from aam_rocm_tools.attention.diagnosis import Diagnosis, Result, advice, compare, diagnose

__all__ = ["Diagnosis", "Result", "advice", "compare", "diagnose"]

if __name__ == "__main__":
    from aam_rocm_tools.attention.command import command

    command()

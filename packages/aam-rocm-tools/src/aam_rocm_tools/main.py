"""The command ``aam-rocm``."""

from __future__ import annotations

import sys

import click


@click.group()
@click.version_option(package_name="aam-rocm-tools")
def main() -> None:
    """Diagnostics of PyTorch on AMD GPUs and clusters; they also run on other devices."""


@main.command("attention-diagnostic")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto (a GPU if there is one), cpu, cuda or cuda:N. ROCm devices are called cuda too.",
)
def attention_diagnostic(device: str) -> None:
    """Compare the attention that PyTorch chooses here with its plain math form.

    With and without masks, outputs and gradients. Exits with 0 when all agree and with 1 when one does not.
    """
    from aam_rocm_tools import attention_diagnostic as diagnostic  # torch takes seconds to import; --help need not

    try:
        chosen = diagnostic.find_device(device)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--device") from error
    results = [diagnostic.compare(case, chosen) for case in diagnostic.cases(chosen)]
    click.echo(diagnostic.report(results, chosen))
    sys.exit(0 if all(result.passed for result in results) else 1)

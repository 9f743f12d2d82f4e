"""``aam-rocm attention``."""

from __future__ import annotations

import json
import sys

import click


@click.command("attention")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto (a GPU if there is one), cpu, cuda or cuda:N. ROCm devices are called cuda too.",
)
@click.option("--speed/--no-speed", default=True, help="Measure time and memory too.  [default: speed]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(device: str, speed: bool, as_json: bool) -> None:
    """Compare every attention kernel that runs here with the formula in float64.

    Covers outputs and gradients, with and without masks, in every precision. The exit status is 0 if all kernels agree
    and 1 if one does not; the report names the flags that help.
    """
    from aam_rocm_tools.attention.backends import find_device
    from aam_rocm_tools.attention.diagnosis import diagnose
    from aam_rocm_tools.attention.report import attention_report

    try:
        found = find_device(device)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--device") from error
    diagnosis = diagnose(found, speed=speed)
    click.echo(json.dumps(diagnosis.to_dict(), indent=1) if as_json else attention_report(diagnosis))
    sys.exit(1 if diagnosis.wrong else 0)

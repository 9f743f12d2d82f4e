"""``aam-rocm slurm`` and ``aam slurm``: one click command, whose options are the fields of ``SlurmOptions``."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import Field, fields
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

from aam_rocm_tools.slurm.config import ABOUT, KINDS, Kind, SlurmOptions


def field_help(owner: type) -> dict[str, str]:
    """Return the string under each field of a dataclass, by field name."""
    (tree,) = ast.parse(inspect.getsource(owner)).body
    assert isinstance(tree, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(text.value.value).replace("\n", " ")
        for field, text in pairwise(tree.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _option(field: Field[Any], kind: Any, text: str) -> Callable[[Any], Any]:
    is_flag, repeated = kind is bool, get_origin(kind) is tuple
    if get_origin(kind) is Literal:
        kind = click.Choice(get_args(kind))
    else:
        kind = int if kind is int or int in get_args(kind) else bool if is_flag else str
    return click.option(
        f"--{field.name.replace('_', '-')}",
        type=kind,
        is_flag=is_flag,
        multiple=repeated,
        default=field.default,
        show_default=field.default not in (None, False, ()),
        help=text,
    )


def _with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    texts, kinds = field_help(SlurmOptions), get_type_hints(SlurmOptions)
    for field in reversed(fields(SlurmOptions)):
        function = _option(field, kinds[field.name], texts[field.name])(function)
    return function


_KINDS = "\n".join(f"{kind:16} {text}" for kind, text in ABOUT.items())


@click.command(
    "slurm",
    short_help="Write a job script for Slurm.",
    help=f"""Write a job script for Slurm.

The script goes to standard output: `slurm KIND [OPTIONS] -- AAM_OPTIONS > job.sh`. Options after `--` go to
`aam pretrain` or `aam train`; without them the script contains an example to edit. The script starts one task per
device, lets the run save before its time limit, and requeues itself as long as the run makes progress.

\b
{_KINDS}""",
)
@click.argument("kind", type=click.Choice(KINDS))
@_with_options
@click.argument("aam_options", nargs=-1, type=click.UNPROCESSED)
def command(kind: Kind, aam_options: tuple[str, ...], **values: Any) -> None:
    from aam_rocm_tools.slurm.render import render

    try:
        script = render(kind, SlurmOptions(**values), aam_options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(script, nl=False)

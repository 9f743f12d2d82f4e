"""``aam corpus add``, ``aam corpus show`` and ``aam corpus check``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aam_cli.command import ConfigCommand, message_options
from aam_cli.commands import COMMANDS
from aam_cli.config import CorpusAddConfig
from aam_cli.errors import Program

_ADD = """FOLDER is made if it does not exist. The study is there as a whole or, after an interruption, not at all. A
corpus holds reads, so tables of fractions are no studies of it."""
_EXAMPLE = """aam corpus add corpus --name ibd --table table.qza --sequences rep-seqs.qza \\
  --tree rooted-tree.qza --metadata metadata.tsv"""


def _add(config: CorpusAddConfig, program: Program) -> None:
    from aam_data.corpus.add import add_study, describe_added

    folder: Path = click.get_current_context().params["folder"]
    facts, notes = add_study(folder, config.study, config.table, config.metadata, config.taxonomy)
    for note in notes:
        program.log(note)
    program.print(f"{folder}: added {describe_added(facts)}")


def _folder_argument() -> click.Argument:
    return click.Argument(["folder"], type=click.Path(path_type=Path), metavar="FOLDER")


def _add_command() -> ConfigCommand:
    command = ConfigCommand("add", CorpusAddConfig, _add, "Add a study to a corpus.", _ADD, example=_EXAMPLE)
    command.params.append(_folder_argument())
    return command


@click.command("show", help="Describe the studies of a corpus.", params=[_folder_argument(), *message_options()])
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output instead of a table.")
@click.pass_obj
def _show(program: Program, as_json: bool, folder: Path) -> None:
    from aam_data.corpus.check import corpus_as_json, study_table
    from aam_data.corpus.manifest import read_manifest

    if as_json:
        click.echo(json.dumps(corpus_as_json(folder), indent=1))
        return
    rows = study_table(read_manifest(folder))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        program.print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@click.command(
    "check",
    help="Compare every file of a corpus with its digest, and name each one that differs.",
    params=[_folder_argument(), *message_options()],
)
@click.pass_obj
def _check(program: Program, folder: Path) -> None:
    from aam_data.corpus.check import check_corpus

    manifest = check_corpus(folder)
    n_files = sum(len(files) for files in manifest.folders().values())
    n_studies = f"{len(manifest.studies):,} {'study' if len(manifest.studies) == 1 else 'studies'}"
    program.print(f"{folder}: {n_studies}, {n_files:,} files, all as they were written")


command = click.Group(
    "corpus",
    help=f"{COMMANDS['corpus']}\n\nA corpus holds several studies in files that are mapped to memory, so that "
    "`aam pretrain --corpus` learns from all of them, however many samples they have.",
    short_help=COMMANDS["corpus"],
    commands=[_add_command(), _show, _check],
    no_args_is_help=False,
)

"""``aam check``."""

from __future__ import annotations

import json

import click

from aam_cli.command import config_command
from aam_cli.config import CheckConfig
from aam_cli.errors import Program, one_line


@config_command("check", CheckConfig)
def command(config: CheckConfig, program: Program) -> int:
    """The other commands read files, choose samples and split them with the same code. The exit status is 2 when
    something would be refused. Give --metadata-column and --group-column to have targets and groups checked too.
    """
    from aam_cli.check_report import errors, lines
    from aam_data.checks.check import check_study

    report = check_study(
        config.table,
        config.metadata,
        config.phylogeny,
        config.sample,
        config.split,
        config.check.target(),
        config.taxonomy,
        config.check.seed,
        config.check.cv,
    )
    if config.check.json:
        click.echo(json.dumps(report.to_dict(), indent=1))
    else:
        for line in errors(report) if program.quiet else lines(report):
            click.echo(one_line(line))
    return 2 if report.count("error") else 0

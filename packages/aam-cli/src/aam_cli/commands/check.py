"""``aam check`` and its report as lines of text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from aam_cli.command import config_command
from aam_cli.config import CheckConfig
from aam_cli.errors import Program
from aam_data.errors import printable, shortened

if TYPE_CHECKING:
    from aam_data.checks.check import Report
    from aam_data.checks.findings import Finding


@config_command(
    "check",
    CheckConfig,
    example="aam check --table table.biom --tree tree.nwk --metadata metadata.tsv \\\n"
    "  --metadata-column age --group-column host",
)
def command(config: CheckConfig, program: Program) -> int:
    """Files are read, samples selected and splits made by the code of the other commands. The exit status is 2 when
    another command would fail. Pass --metadata-column and --group-column to check targets and groups too.
    """
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
        for line in _quiet_lines(report) if program.quiet else _report_lines(report):
            click.echo(printable(line))
    return 2 if report.count("error") else 0


def _report_lines(report: Report) -> list[str]:
    """Return the facts in two columns, the findings with their remedies, and the counts."""
    width = max((len(name) for name, _ in report.facts), default=0)
    lines = [f"{name:{width}}  {value}" for name, value in report.facts]
    lines += [""] if report.findings else []
    for finding in report.findings:
        lines += _finding_lines(finding)
    counts = [f"{n} {level}{'' if n == 1 else 's'}" for level in ("error", "warning") for n in [report.count(level)]]
    return [*lines, "", f"{', '.join(counts)}: {_conclusion(report)}"]


def _quiet_lines(report: Report) -> list[str]:
    return [line for finding in report.findings if finding.level != "note" for line in _finding_lines(finding)]


def _finding_lines(finding: Finding) -> list[str]:
    where = f"{finding.where}: " if finding.where else ""
    lines = [f"{finding.level.upper():8}{where}{finding.text}"]
    lines += [f"        -> {finding.remedy}"] if finding.remedy else []
    return list(map(shortened, lines))


def _conclusion(report: Report) -> str:
    if report.count("error"):
        return "AAM cannot use these files"
    return "check the warnings before you train" if report.count("warning") else "ready to use"

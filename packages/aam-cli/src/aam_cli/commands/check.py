"""``aam check`` and its report as lines of text."""

from __future__ import annotations

import inspect
import json

import click

from aam_cli.command import ConfigCommand
from aam_cli.commands import COMMANDS
from aam_cli.config import CheckConfig
from aam_cli.errors import Program
from aam_cli.input_paths import input_path_errors
from aam_data.checks.findings import Finding, Report
from aam_data.errors import printable, shortened


class CheckCommand(ConfigCommand):
    """Command that reports paths that cannot be read like every other problem of the files."""

    def check_paths(self, config: object) -> None:
        """Leave the paths to the report."""


def _check(config: CheckConfig, program: Program) -> int:
    """Files are read, samples selected and splits made by the code of the other commands. The exit status is 2 when
    another command would fail. Pass --metadata-column and --group-column to check targets and groups too.
    """
    unreadable = [Finding.from_error(error) for error in input_path_errors(config)]
    report = Report((), tuple(unreadable)) if unreadable else _report(config)
    if config.check.json:
        click.echo(json.dumps(report.to_dict(), indent=1))
    else:
        for line in _quiet_lines(report) if program.quiet else _report_lines(report):
            click.echo(printable(line))
    return 2 if report.count("error") else 0


command = CheckCommand(
    "check",
    CheckConfig,
    _check,
    COMMANDS["check"],
    inspect.getdoc(_check) or "",
    example="aam check --table table.biom --tree tree.nwk --metadata metadata.tsv \\\n"
    "  --metadata-column age --group-column host",
)


def _report(config: CheckConfig) -> Report:
    from aam_data.checks.check import check_study

    return check_study(
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
    lines = [f"{shortened(f'{finding.level.upper():8}{where}{finding.text}')}  [{finding.code}]"]
    return [*lines, *([shortened(f"        -> {finding.remedy}")] if finding.remedy else [])]


def _conclusion(report: Report) -> str:
    if report.count("error"):
        return "AAM cannot use these files"
    return "check the warnings before you train" if report.count("warning") else "ready to use"

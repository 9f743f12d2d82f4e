"""A check's report as lines of text: what the files hold, then every finding with what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aam_data.checks.check import Report
    from aam_data.checks.findings import Finding


def lines(report: Report) -> list[str]:
    """Facts in two columns, findings with their remedies below, and the counts at the end."""
    width = max((len(name) for name, _ in report.facts), default=0)
    text = [f"{name:{width}}  {value}" for name, value in report.facts]
    text += [""] if report.findings else []
    for finding in report.findings:
        text += _finding(finding)
    counts = [f"{n} {level}{'' if n == 1 else 's'}" for level in ("error", "warning") for n in [report.count(level)]]
    return [*text, "", f"{', '.join(counts)}: {_verdict(report)}"]


def errors(report: Report) -> list[str]:
    """The errors alone, with their remedies."""
    return [line for finding in report.findings if finding.level == "error" for line in _finding(finding)]


def _finding(finding: Finding) -> list[str]:
    where = f"{finding.where}: " if finding.where else ""
    text = [f"{finding.level.upper():8}{where}{finding.text}"]
    return [*text, f"        -> {finding.remedy}"] if finding.remedy else text


def _verdict(report: Report) -> str:
    if report.count("error"):
        return "the files would be refused"
    return "look at the warnings before you train" if report.count("warning") else "ready to use"

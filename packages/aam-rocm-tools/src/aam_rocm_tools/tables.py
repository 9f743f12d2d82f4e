"""Tables of text: aligned for a terminal, or in Markdown."""

from __future__ import annotations

from collections.abc import Sequence, Set


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Set[int] = frozenset()) -> str:
    """Format columns with two blanks between them; those in ``numbers`` are aligned to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [c.rjust(w) if i in numbers else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Set[int] = frozenset()) -> str:
    """Format a table in Markdown; bars within cells are escaped, columns in ``numbers`` are aligned to the right."""
    rule = ["---:" if i in numbers else "---" for i in range(len(header))]
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *escaped])

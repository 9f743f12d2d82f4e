"""The diagnosis as text: tables and advice."""

from __future__ import annotations

from collections.abc import Sequence

from aam_rocm_tools.attention.diagnosis import Diagnosis, Result, advice
from aam_rocm_tools.tables import text_table


def attention_report(diagnosis: Diagnosis) -> str:
    """Format the largest difference of each backend, type and mask over all shapes, the speed, and the advice."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in diagnosis.results:
        groups.setdefault((result.backend, result.case.dtype_name, result.case.mask), []).append(result)
    rows = [[*key, *_worst(group)] for key, group in groups.items()]
    lines = [f"{diagnosis.device}, {diagnosis.build}", ""]
    lines.append(text_table(["backend", "type", "mask", "forward", "backward", "limit", ""], rows, numbers={3, 4, 5}))
    if diagnosis.speed:
        lines += ["", "Forward and backward pass with a padding mask, relative to math:", ""]
        speed = [
            [s.backend, s.dtype, f"{1000 * s.seconds:.2f} ms", f"{s.times:.2f}", _share(s.memory)]
            for s in diagnosis.speed
        ]
        lines.append(text_table(["backend", "type", "time", "/ math", "memory / math"], speed, numbers={2, 3, 4}))
    n_wrong = len(diagnosis.wrong)
    n_compared = sum(result.missing is None for result in diagnosis.results)
    lines += [
        "",
        f"{n_wrong} of {n_compared} comparisons are wrong." if n_wrong else f"All {n_compared} comparisons agree.",
    ]
    return "\n".join([*lines, *advice(diagnosis)])


def _worst(group: list[Result]) -> list[str]:
    available = [result for result in group if result.missing is None]
    if not available:
        return ["-", "-", "-", "not available here"]
    wrong = [result for result in available if not result.passed]
    error = next((result.error for result in wrong if result.error), None)
    if error is not None:
        return ["-", "-", f"{group[0].case.limit:.0e}", f"FAILS: {error[:60]}"]
    forward, backward = (_largest([getattr(r, name) for r in available]) for name in ("forward", "backward"))
    verdict = f"WRONG ({', '.join(r.case.name for r in wrong)})" if wrong else "ok"
    if len(available) < len(group):
        verdict += f" ({', '.join(r.case.name for r in group if r.missing)}: not available here)"
    return [f"{forward:.1e}", f"{backward:.1e}", f"{group[0].case.limit:.0e}", verdict]


def _largest(values: Sequence[float]) -> float:
    """Return the largest value; NaN if there is one."""
    return next((value for value in values if value != value), max(values))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"

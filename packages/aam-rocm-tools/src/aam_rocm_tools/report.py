"""What is printed: plain tables, and the words around them."""

from __future__ import annotations

from collections.abc import Sequence

from aam_rocm_tools.attention_diagnostic import Diagnosis, Result, advice
from aam_rocm_tools.tables import text_table


def attention_report(diagnosis: Diagnosis) -> str:
    """The worst difference of each backend, type and mask over all shapes; speed; what to do."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in diagnosis.results:
        kind = str(result.case.dtype).removeprefix("torch.")
        groups.setdefault((result.backend, kind, result.case.mask), []).append(result)
    rows = [[*key, *_worst(group)] for key, group in groups.items()]
    lines = [f"{diagnosis.device}, {diagnosis.build}", ""]
    lines.append(text_table(["backend", "type", "mask", "forward", "backward", "allowed", ""], rows, numbers={3, 4, 5}))
    if diagnosis.speed:
        lines += ["", "Forward and backward pass with a padding mask, relative to math:", ""]
        speed = [
            [s.backend, s.dtype, f"{1000 * s.seconds:.2f} ms", f"{s.times:.2f}", _share(s.memory)]
            for s in diagnosis.speed
        ]
        lines.append(text_table(["backend", "type", "time", "of math", "memory of math"], speed, numbers={2, 3, 4}))
    n_wrong = len(diagnosis.wrong)
    compared = sum(result.missing is None for result in diagnosis.results)
    lines += [
        "",
        f"{n_wrong} of {compared} comparisons are wrong." if n_wrong else f"All {compared} comparisons agree.",
    ]
    return "\n".join([*lines, *advice(diagnosis)])


def _worst(group: list[Result]) -> list[str]:
    there = [result for result in group if result.missing is None]
    if not there:
        return ["-", "-", "-", "not available here"]
    bad = [result for result in there if not result.passed]
    broken = next((result.error for result in bad if result.error), None)
    if broken is not None:
        return ["-", "-", f"{group[0].case.limit:.0e}", f"FAILS: {broken[:60]}"]
    forward, backward = (_largest([getattr(r, name) for r in there]) for name in ("forward", "backward"))
    verdict = f"WRONG ({', '.join(r.case.name for r in bad)})" if bad else "ok"
    if len(there) < len(group):
        verdict += f" ({', '.join(r.case.name for r in group if r.missing)}: not available here)"
    return [f"{forward:.1e}", f"{backward:.1e}", f"{group[0].case.limit:.0e}", verdict]


def _largest(values: Sequence[float]) -> float:
    """The largest; NaN if there is one."""
    return next((value for value in values if value != value), max(values))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"

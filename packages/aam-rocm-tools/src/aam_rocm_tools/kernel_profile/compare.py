"""Comparison of two profiles: ROCm and CUDA (by family, because kernels have other names), or before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aam_rocm_tools.kernel_profile.families import times_by_family
from aam_rocm_tools.kernel_profile.kernels import Profile
from aam_rocm_tools.kernel_profile.report import TOP, short_name
from aam_rocm_tools.tables import markdown_table


@dataclass(frozen=True)
class Comparison:
    """Times of two profiles, A and B, in nanoseconds; None for what does not occur in one.

    Attributes:
        families: times by family, the longest first.
        kernels: times by name, the largest change first.
    """

    a: Profile
    b: Profile
    families: dict[str, tuple[float | None, float | None]]
    kernels: dict[str, tuple[float | None, float | None]]

    def to_dict(self) -> dict[str, Any]:
        """Return the values for JSON."""
        return {
            "total_ns": [self.a.total_ns, self.b.total_ns],
            "families": {name: list(times) for name, times in self.families.items()},
            "kernels": {name: list(times) for name, times in self.kernels.items()},
        }


def compare_profiles(a: Profile, b: Profile) -> Comparison:
    """Compare the times of two profiles by family and by kernel."""
    families = _pair(times_by_family(a), times_by_family(b))
    by_name = [{kernel.name: kernel.total_ns for kernel in profile.kernels} for profile in (a, b)]
    kernels = _pair(*by_name)
    by_longest = sorted(families.items(), key=lambda item: -max(t or 0 for t in item[1]))
    by_change = sorted(kernels.items(), key=lambda item: -abs((item[1][1] or 0) - (item[1][0] or 0)))
    return Comparison(a, b, dict(by_longest), dict(by_change))


def markdown_comparison(comparison: Comparison) -> str:
    """Format the totals, the families and the ten kernels that changed most."""
    a, b = comparison.a, comparison.b
    total = [["all kernels", *_cells(a.total_ns, b.total_ns)]]
    families = [[name, *_cells(*times)] for name, times in comparison.families.items()]
    kernels = [[short_name(name), *_cells(*times)] for name, times in list(comparison.kernels.items())[:TOP]]
    header, numbers = ["A ms", "B ms", "B / A"], {1, 2, 3}
    n_shared = sum(None not in times for times in comparison.kernels.values())
    names = f"{n_shared} of {len(comparison.kernels)} names are in both"
    return "\n".join(
        [
            f"A: {a.tool} ({a.device}), B: {b.tool} ({b.device}); {names}",
            "",
            markdown_table(["family", *header], [*total, *families], numbers),
            "",
            markdown_table(["kernel", *header], kernels, numbers),
        ]
    )


def _pair(a: dict[str, float], b: dict[str, float]) -> dict[str, tuple[float | None, float | None]]:
    return {name: (a.get(name), b.get(name)) for name in [*a, *(name for name in b if name not in a)]}


def _cells(a: float | None, b: float | None) -> list[str]:
    ratio = f"{b / a:.2f}" if a and b is not None else "-"
    return [*("-" if t is None else f"{t / 1e6:.2f}" for t in (a, b)), ratio]

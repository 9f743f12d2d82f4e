"""Report on a profile: the ten longest kernels, time by family, suggestions."""

from __future__ import annotations

import shlex

from aam_rocm_tools.kernel_profile.families import family, kernels_in_family, times_by_family
from aam_rocm_tools.kernel_profile.kernels import Profile
from aam_rocm_tools.tables import markdown_table

TOP = 10
_NAME_WIDTH = 70


def markdown_report(profile: Profile) -> str:
    """Format a profile in Markdown."""
    if not profile.kernels:
        return (
            f"No kernel was recorded by {profile.tool}. Either the command used no GPU, or it ended before the "
            "profiler could write (a second signal, os._exit)."
        )
    total = profile.total_ns
    top = [
        [
            short_name(k.name),
            family(k.name),
            f"{k.calls:,}",
            f"{k.total_ns / 1e6:.2f}",
            f"{k.mean_us:.1f}",
            f"{k.total_ns / total:.1%}",
        ]
        for k in profile.kernels[:TOP]
    ]
    families = [[name, f"{ns / 1e6:.2f}", f"{ns / total:.1%}"] for name, ns in times_by_family(profile).items()]
    lines = [f"# Kernels by {profile.tool} ({profile.device})", ""]
    if profile.command:
        lines += [f"`{shlex.join(profile.command)}`", ""]
    calls = sum(kernel.calls for kernel in profile.kernels)
    lines.append(f"{calls:,} calls of {len(profile.kernels):,} kernels, {total / 1e6:,.1f} ms; {_busy(profile)}")
    lines += [
        "",
        markdown_table(["kernel", "family", "calls", "ms", "us per call", "share"], top, numbers={2, 3, 4, 5}),
    ]
    lines += ["", markdown_table(["family", "ms", "share"], families, numbers={1, 2}), ""]
    lines += [f"Attention: {attention_share(profile):.1%} of the time of all kernels.", ""]
    return "\n".join([*lines, *(f"- {text}" for text in suggestions(profile))])


def attention_share(profile: Profile) -> float:
    """Return the time share of the families attention and softmax.

    Plain attention runs softmax; its matrix products cannot be told from others.
    """
    times = times_by_family(profile)
    return (times.get("attention", 0.0) + times.get("softmax", 0.0)) / profile.total_ns if profile.kernels else 0.0


def suggestions(profile: Profile) -> list[str]:
    """Return suggestions in flags of ``aam``, each with the number of the profile behind it."""
    total, times = profile.total_ns, times_by_family(profile)
    share = {name: ns / total for name, ns in times.items()}
    on_gpu = profile.device != "CPU"
    texts = []
    if share.get("softmax", 0) > 0.05:
        texts.append(
            f"softmax takes {share['softmax']:.0%}: attention runs as separate products (math). Where `aam-rocm "
            "attention` passes, omit --attn-implementation math"
        )
    if share.get("copies", 0) > 0.15:
        texts.append(
            f"copies take {share['copies']:.0%}: "
            + ("larger --batch-size moves less often" if on_gpu else "they are part of the model's rearrangements here")
        )
    if share.get("communication", 0) > 0.2:
        texts.append(
            f"communication takes {share['communication']:.0%}: a larger --batch-size per device needs less of it"
        )
    if share.get("optimizer", 0) > 0.15:
        texts.append(
            f"the optimizer takes {share['optimizer']:.0%}: batches are small for this model; raise --batch-size"
        )
    if share.get("matrix products", 0) > 0.5:
        single = any(
            "sgemm" in k.name.lower() or "_sb_" in k.name.lower() for k in kernels_in_family(profile, "matrix products")
        )
        texts.append(
            f"matrix products take {share['matrix products']:.0%}, as expected of a well-fed model"
            + ("; they are in float32: use --mixed-precision bf16" if single and on_gpu else "")
        )
    pointwise = sum(share.get(name, 0) for name in ("activation", "elementwise", "normalisation"))
    if pointwise > 0.1:
        texts.append(
            f"elementwise operations take {pointwise:.0%}: --compile-model fuses them where it works, which it does "
            "not on ROCm"
        )
    calls = sum(kernel.calls for kernel in profile.kernels)
    if on_gpu and calls and total / calls < 10_000:
        texts.append(
            f"a kernel takes {total / calls / 1000:.1f} us on average, so the device waits for launches: increase "
            "--batch-size"
        )
    if on_gpu and profile.wall_ns and total / profile.wall_ns < 0.5:
        texts.append(
            f"kernels run {total / profile.wall_ns:.0%} of the time: the device waits. The log shows how long it "
            "waits for data; increase --num-workers or --batch-size"
        )
    return texts or ["nothing stands out"]


def short_name(name: str) -> str:
    """Shorten a name for a table: parameters of C++ functions and the end of a long name are cut."""
    plain = name.removeprefix("void ").split("(")[0] if "(" in name and "anonymous" not in name.split("(")[1] else name
    return plain if len(plain) <= _NAME_WIDTH else plain[: _NAME_WIDTH - 3] + "..."


def _busy(profile: Profile) -> str:
    if not profile.wall_ns:
        return "the tool does not report the elapsed time"
    return f"{profile.total_ns / profile.wall_ns:.0%} of {profile.wall_ns / 1e6:,.1f} ms"

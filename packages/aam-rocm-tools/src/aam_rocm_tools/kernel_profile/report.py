"""A profile in words: the ten longest kernels, time by family, what the figures suggest."""

from __future__ import annotations

import shlex

from aam_rocm_tools.kernel_profile.families import family, of_family, times_by_family
from aam_rocm_tools.kernel_profile.kernels import Profile
from aam_rocm_tools.tables import markdown_table

TOP = 10
_NAME_WIDTH = 70


def markdown_report(profile: Profile) -> str:
    """For people and documents."""
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
    lines += ["", markdown_table(["kernel", "family", "calls", "ms", "us a call", "share"], top, numbers={2, 3, 4, 5})]
    lines += ["", markdown_table(["family", "ms", "share"], families, numbers={1, 2}), ""]
    lines += [f"Attention: {attention_share(profile):.1%} of the time of all kernels.", ""]
    return "\n".join([*lines, *(f"- {text}" for text in suggestions(profile))])


def attention_share(profile: Profile) -> float:
    """Share of the attention family, and of softmax: plain attention has it, though its products look like others."""
    times = times_by_family(profile)
    return (times.get("attention", 0.0) + times.get("softmax", 0.0)) / profile.total_ns if profile.kernels else 0.0


def suggestions(profile: Profile) -> list[str]:
    """What to try, in flags of ``aam``; each rests on a figure of the profile."""
    total, times = profile.total_ns, times_by_family(profile)
    share = {name: ns / total for name, ns in times.items()}
    on_gpu = profile.device != "CPU"
    found = []
    if share.get("softmax", 0) > 0.05:
        found.append(
            f"softmax takes {share['softmax']:.0%}: attention runs as separate products (math). Where `aam-rocm "
            "attention` passes, leave out --attn-implementation math"
        )
    if share.get("copies", 0) > 0.15:
        found.append(
            f"copies take {share['copies']:.0%}: "
            + ("larger --batch-size moves less often" if on_gpu else "they are part of the model's rearrangements here")
        )
    if share.get("communication", 0) > 0.2:
        found.append(
            f"communication takes {share['communication']:.0%}: a larger --batch-size a device needs less of it"
        )
    if share.get("optimizer", 0) > 0.15:
        found.append(
            f"the optimizer takes {share['optimizer']:.0%}: batches are small for this model; raise --batch-size"
        )
    if share.get("matrix products", 0) > 0.5:
        single = any(
            "sgemm" in k.name.lower() or "_sb_" in k.name.lower() for k in of_family(profile, "matrix products")
        )
        found.append(
            f"matrix products take {share['matrix products']:.0%}, which is what a well-fed model looks like"
            + ("; they are in float32: give --mixed-precision bf16" if single and on_gpu else "")
        )
    pointwise = sum(share.get(name, 0) for name in ("activation", "elementwise", "normalisation"))
    if pointwise > 0.1:
        found.append(
            f"what is done element by element takes {pointwise:.0%}: --compile-model fuses it where it works, "
            "which is not on ROCm"
        )
    calls = sum(kernel.calls for kernel in profile.kernels)
    if on_gpu and calls and total / calls < 10_000:
        found.append(
            f"a kernel takes {total / calls / 1000:.1f} us on average, so the device waits for launches: raise "
            "--batch-size"
        )
    if on_gpu and profile.wall_ns and total / profile.wall_ns < 0.5:
        found.append(
            f"kernels run {total / profile.wall_ns:.0%} of the time: the device waits. See the share of waiting for "
            "data in the log; raise --num-workers or --batch-size"
        )
    return found or ["nothing stands out"]


def short_name(name: str) -> str:
    """A name that fits a table: template arguments and parameters of C++ are cut."""
    plain = name.removeprefix("void ").split("(")[0] if "(" in name and "anonymous" not in name.split("(")[1] else name
    return plain if len(plain) <= _NAME_WIDTH else plain[: _NAME_WIDTH - 3] + "..."


def _busy(profile: Profile) -> str:
    if not profile.wall_ns:
        return "the tool does not say over how long"
    return f"{profile.total_ns / profile.wall_ns:.0%} of {profile.wall_ns / 1e6:,.1f} ms"

"""Profiles of every generation (written by hand, see profiles/README.md), reports, comparisons, and a Python program
under torch.profiler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from aam_rocm_tools.kernel_profile.compare import compare_profiles, markdown_comparison
from aam_rocm_tools.kernel_profile.families import family, times_by_family
from aam_rocm_tools.kernel_profile.kernels import Kernel, Profile, merge_kernels
from aam_rocm_tools.kernel_profile.read import ProfileFileError, read_profile, read_tool_output
from aam_rocm_tools.kernel_profile.read_csv import read_csv
from aam_rocm_tools.kernel_profile.report import attention_share, markdown_report, short_name, suggestions
from aam_rocm_tools.kernel_profile.run import ProfileError, python_command, run_profile, wrap
from aam_rocm_tools.main import main

PROFILES = Path(__file__).parent / "profiles"
GEMM = "Cijk_Alik_Bljk_SB_MT64x64x16"
TRACES = ["rocprof_results", "rocprof_old_results", "rocm62_kernel_trace", "rocm63_kernel_trace", "rocm7_kernel_trace"]
SUMS = ["rocprof_results.stats", "rocm63_kernel_stats", "rocm7_kernel_stats"]
# All of them contain: dispatches of 3, 10 and 4 microseconds, between 2 and 21.
EXPECTED = [Kernel(GEMM, 1, 10_000), Kernel("attn_fwd", 2, 7_000)]


@pytest.mark.parametrize("name", [*TRACES, "rocpd_kernel_trace", *SUMS])
def test_every_generation_is_read_alike(name: str) -> None:
    found = read_profile([PROFILES / f"{name}.csv"])
    assert found.kernels == EXPECTED
    assert found.total_ns == 17_000
    assert found.wall_ns == (None if name in SUMS else 19_000)
    assert found.tool == ("rocprof" if name.startswith("rocprof") else "rocprofv3")


def test_files_of_several_processes_are_added_up() -> None:
    both = read_profile([PROFILES / f"{name}.csv" for name in ("rocm63_kernel_trace", "rocm7_kernel_trace")])
    assert both.kernels == [Kernel(GEMM, 2, 20_000), Kernel("attn_fwd", 4, 14_000)]
    assert both.wall_ns == 19_000


def test_a_folder_of_a_tool_counts_nothing_twice(tmp_path: Path) -> None:
    for host in ("n1", "n2"):
        (tmp_path / host).mkdir()
        for kind in ("trace", "stats"):
            shutil.copy(PROFILES / f"rocm7_kernel_{kind}.csv", tmp_path / host / f"1_kernel_{kind}.csv")
        (tmp_path / host / "1_agent_info.csv").write_text('"Node_Id","Name"\n0,"gfx942"\n', "utf-8")
        (tmp_path / host / "1_memory_copy_stats.csv").write_text(
            '"Name","Calls","TotalDurationNs","AverageNs","Percentage","MinNs","MaxNs","StdDev"\n'
            '"MEMORY_COPY_HOST_TO_DEVICE",1,5,5.0,100.0,5,5,0.0\n',
            "utf-8",
        )
    assert read_tool_output(tmp_path).kernels == [Kernel(GEMM, 2, 20_000), Kernel("attn_fwd", 4, 14_000)]


def test_a_header_alone_is_a_profile_without_kernels() -> None:
    found = read_profile([PROFILES / "header_only_kernel_trace.csv"])
    assert (found.kernels, found.wall_ns, found.total_ns) == ([], None, 0)
    assert "No kernel was recorded" in markdown_report(found)
    assert suggestions(found) == ["nothing stands out"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "the header has neither Kernel_Name"),
        ("", "the header has neither Kernel_Name"),
        ("Name,Calls,TotalDurationNs\nk,1\n", "line 2: 2 cells, the header has 3"),
        ("Name,Calls,TotalDurationNs\nk,one,2\n", "line 2, column calls: 'one' is not a number"),
        ("Name,Calls,TotalDurationNs\nk,0,2\n", "line 2: 0 calls of 2 ns cannot be"),
        ("Name,Calls,TotalDurationNs\nk,1e999,2\n", "line 2, column calls: '1e999' is not a number"),
        ("Kernel_Name,Start_Timestamp,End_Timestamp\nk,5,2\n", "line 2: 1 calls of -3 ns cannot be"),
        ("Kernel_Name,Start_Timestamp,End_Timestamp\nk,1,nan\n", "line 2, column end_timestamp: 'nan' is not a"),
        ("Kernel_Name,Start_Timestamp,End_Timestamp\nk,1,\n", "line 2, column end_timestamp: '' is not a number"),
    ],
)
def test_other_files_are_refused_by_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "x.csv"
    file.write_text(text, "utf-8")
    with pytest.raises(ProfileFileError, match=message):
        read_csv(file)


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"format": 1, "tool": "t", "device": "GPU", "command": [], "wall_ns": null, "kernels": '
        '[{"name": "k", "calls": 1e999, "total_ns": 1}]}',
        '{"format": 1, "tool": "t", "device": "GPU", "command": [], "wall_ns": "x", "kernels": []}',
    ],
)
def test_profiles_that_are_damaged_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "profile.json").write_text(content, "utf-8")
    ran = CliRunner().invoke(main, ["compare", str(tmp_path), str(tmp_path)])
    assert (ran.exit_code, "profile.json: not a profile.json" in ran.output) == (2, True)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProfileFileError, match="not a CSV file"):
        read_csv(tmp_path / "x.csv")


def test_traces_and_sums_are_not_mixed() -> None:
    with pytest.raises(ProfileFileError, match="count twice"):
        read_profile([PROFILES / "rocm7_kernel_trace.csv", PROFILES / "rocm7_kernel_stats.csv"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("attn_fwd", "attention"),
        ("fmha_cutlassF_f32_aligned_64x64_rf_sm80(PyTorchMemEffAttention)", "attention"),
        ("void pytorch_flash::flash_fwd_kernel<...>", "attention"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        (GEMM, "matrix products"),
        ("ampere_sgemm_128x64_tn", "matrix products"),
        ("aten::addmm", "matrix products"),
        ("void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<float, float>", "normalisation"),
        ("ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)", "communication"),
        ("Memcpy HtoD (Pinned -> Device)", "copies"),
        ("__amd_rocclr_copyBuffer", "copies"),
        ("void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>>", "elementwise"),
        ("void at::native::softmax_warp_forward<float, float, float, 7, false, false>", "softmax"),
        ("void at::native::multi_tensor_apply_kernel<FusedAdamMathFunctor>", "optimizer"),
        ("aten::gelu", "activation"),
        ("something_else", "other"),
    ],
)
def test_families(name: str, expected: str) -> None:
    assert family(name) == expected


def test_a_report_has_the_top_ten_the_families_and_the_share_of_attention() -> None:
    kernels = [Kernel("attn_fwd", 4, 30e6), *(Kernel(f"other_{i}", 1, (12 - i) * 1e6) for i in range(12))]
    profile = Profile("rocprofv3", merge_kernels(kernels), wall_ns=216e6, command=["aam", "pretrain", "a b"])
    assert attention_share(profile) == pytest.approx(30 / 108)
    text = markdown_report(profile)
    assert "`aam pretrain 'a b'`" in text
    assert "| attn_fwd | attention | 4 | 30.00 | 7500.0 | 27.8% |" in text
    assert text.count("| other_") == 9
    assert "| other | 78.00 | 72.2% |" in text
    assert "Attention: 27.8% of the time" in text
    assert "50% of 216.0 ms" in text


def test_suggestions_rest_on_numbers() -> None:
    plain = Profile("rocprof", [Kernel("softmax_warp_forward", 1, 20e6), Kernel("Cijk_SB_", 1, 80e6)], wall_ns=500e6)
    found = suggestions(plain)
    assert [text.split(":")[0] for text in found] == [
        "softmax takes 20%",
        "matrix products take 80%, as expected of a well-fed model; they are in float32",
        "kernels run 20% of the time",
    ]
    small = Profile("rocprof", [Kernel("elementwise", 1000, 1e6), Kernel("ncclDevKernel", 1, 1e6)])
    assert any("a kernel takes 2.0 us on average" in text for text in suggestions(small))
    assert any(text.startswith("communication takes 50%") for text in suggestions(small))


def test_names_are_cut_for_tables() -> None:
    assert short_name("void kernel<a>(float*, int)") == "kernel<a>"
    assert len(short_name("x" * 200)) == 70


def test_comparison_is_by_family_and_by_kernel() -> None:
    rocm = Profile("rocprofv3", [Kernel(GEMM, 1, 10e6), Kernel("attn_fwd", 1, 6e6)])
    cuda = Profile("torch.profiler", [Kernel("ampere_sgemm_1", 1, 5e6), Kernel("attn_fwd", 1, 3e6)])
    found = compare_profiles(rocm, cuda)
    assert found.families == {"matrix products": (10e6, 5e6), "attention": (6e6, 3e6)}
    assert found.kernels == {GEMM: (10e6, None), "ampere_sgemm_1": (None, 5e6), "attn_fwd": (6e6, 3e6)}
    text = markdown_comparison(found)
    assert "1 of 3 names are in both" in text
    assert "| all kernels | 16.00 | 8.00 | 0.50 |" in text
    assert f"| {GEMM} | 10.00 | - | - |" in text


def test_compare_and_report_from_the_command_line() -> None:
    old, new = str(PROFILES / "rocprof_results.csv"), str(PROFILES / "rocm7_kernel_trace.csv")
    ran = CliRunner().invoke(main, ["compare", old, new])
    assert (ran.exit_code, "| attention | 0.01 | 0.01 | 1.00 |" in ran.output) == (0, True)
    ran = CliRunner().invoke(main, ["compare", old, new, "--json"])
    assert json.loads(ran.output)["total_ns"] == [17_000, 17_000]
    ran = CliRunner().invoke(main, ["compare", "--report", new])
    assert "Attention: 41.2%" in ran.output
    ran = CliRunner().invoke(main, ["compare", old])
    assert (ran.exit_code, "name two profiles" in ran.output) == (2, True)


def test_commands_of_the_tools() -> None:
    v3 = wrap(["aam", "demo"], Path("out"), "rocprofv3")
    assert v3[:3] == ["rocprofv3", "--kernel-trace", "--stats"]
    assert v3[v3.index("--output-format") + 1] == "csv"
    assert v3[-3:] == ["--", "aam", "demo"]
    assert wrap(["aam"], Path("out"), "rocprof")[-3:] == ["-o", "out/results.csv", "aam"]


# Stand-ins for the profilers: they run the command and write what the real ones would.
STAND_INS = {
    "rocprofv3": """#!/bin/bash
while [[ $1 != -- ]]; do if [[ $1 == -d ]]; then folder=$2; fi; shift; done
shift
"$@"
status=$?
mkdir -p "$folder/node1"
cp "$PROFILES/rocm7_kernel_trace.csv" "$folder/node1/17_kernel_trace.csv"
cp "$PROFILES/rocm7_kernel_stats.csv" "$folder/node1/17_kernel_stats.csv"
exit $status
""",
    "rocprof": """#!/bin/bash
while [[ $1 != -o ]]; do shift; done
cp "$PROFILES/rocprof_results.csv" "$2"
cp "$PROFILES/rocprof_results.stats.csv" "${2%.csv}.stats.csv"
shift 2
exec "$@"
""",
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("tool", STAND_INS)
def test_the_installed_profiler_is_taken(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / tool).write_text(STAND_INS[tool], "utf-8")
    (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PROFILES", str(PROFILES))
    found, status = run_profile(["bash", "-c", "exit 3"], tmp_path / "out")
    assert (found.kernels, found.tool, status) == (EXPECTED, tool, 3)
    assert read_profile([tmp_path / "out"]).command == ["bash", "-c", "exit 3"]
    assert "Attention: 41.2%" in (tmp_path / "out" / "report.md").read_text("utf-8")


def test_a_profiler_that_writes_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rocprofv3").write_text("#!/bin/sh\nexit 1\n", "utf-8")
    (tmp_path / "rocprofv3").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ProfileError, match=r"ended with status 1 before rocprofv3 could write: .* has no CSV file"):
        run_profile(["ls"], tmp_path / "out")


def test_python_commands_are_taken_apart(tmp_path: Path) -> None:
    script = tmp_path / "tool"
    script.write_text(f"#!{sys.executable}\n", "utf-8")
    script.chmod(0o755)
    assert python_command([str(script), "a"]) == ([sys.executable], [str(script), "a"])
    assert python_command([sys.executable, "-u", "-m", "json.tool", "x"]) == (
        [sys.executable, "-u"],
        ["-m", "json.tool", "x"],
    )
    for refused in (["ls"], [sys.executable, "-c", "1"], [sys.executable]):
        with pytest.raises(ProfileError):
            python_command(refused)


PROGRAM = """
import sys
from pathlib import Path
import torch
from helper import SIZE  # beside the script
a = torch.ones(SIZE, SIZE)
for _ in range(3):
    a @ a
assert __name__ == "__main__" and sys.argv[1:] == ["x", "--y"]
Path("ran").write_text("yes")
sys.exit(7)
"""


def test_a_program_runs_under_torch_profiler_as_by_itself(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "program.py").write_text(PROGRAM, "utf-8")
    (tmp_path / "code" / "helper.py").write_text("SIZE = 8\n", "utf-8")
    words = ["--output-dir", "out", "--tool", "torch", "--", sys.executable, "code/program.py", "x", "--y"]
    done = subprocess.run(
        [sys.executable, "-c", "from aam_rocm_tools.main import main; main()", "profile", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    assert (tmp_path / "ran").read_text() == "yes"
    found = read_profile([tmp_path / "out"])
    calls = {kernel.name: kernel.calls for kernel in found.kernels}
    assert calls["aten::mm"] == 3
    assert found.tool == "torch.profiler"
    assert found.wall_ns is not None
    assert found.wall_ns > found.total_ns > 0
    assert times_by_family(found)["matrix products"] > 0
    assert "aten::mm" in (tmp_path / "out" / "report.md").read_text("utf-8")


def test_a_module_runs_too_and_an_error_of_it_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text("import torch\ntorch.ones(2) + 1\nraise ValueError('mine')\n", "utf-8")
    code = (
        "from pathlib import Path; from aam_rocm_tools.kernel_profile.run import run_profile; import sys\n"
        "found, status = run_profile([sys.executable, '-m', 'failing'], Path('out'), 'torch')\n"
        "print(status, [k.name for k in found.kernels if 'add' in k.name])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "1 ['aten::add']\n"
    assert "ValueError: mine" in done.stderr


def test_what_cannot_be_profiled_is_refused(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").touch()
    for words, output, tool, message in (
        (["python3"], full, "torch", "exists already"),
        (["no-such-program"], tmp_path / "a", "torch", "no such command"),
        (["ls"], tmp_path / "b", "torch", "is not a Python program"),
    ):
        with pytest.raises(ProfileError, match=message):
            run_profile(words, output, tool)
    if shutil.which("rocprofv3") is None:
        with pytest.raises(ProfileError, match="is not installed here"):
            run_profile(["ls"], tmp_path / "c", "rocprofv3")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]

"""Container definitions: pinned, small, not root, no address of a registry; their smoke test runs here."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner

from aam_rocm_tools.containers import smoke_test as smoke
from aam_rocm_tools.containers.command import FILES, definition
from aam_rocm_tools.containers.smoke_test import smoke_test
from aam_rocm_tools.main import main

DOCKERFILES = ("cpu", "cuda")
INSTRUCTIONS = {"ARG", "FROM", "ENV", "RUN", "COPY", "USER", "WORKDIR", "ENTRYPOINT", "CMD"}


def instructions(kind: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile with continuations joined and comments removed."""
    text = definition(kind).replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest) for word, rest in (line.split(None, 1) for line in lines)]


def sections(text: str) -> dict[str, str]:
    """Return the sections of an Apptainer definition."""
    parts = re.split(r"^%(\w+)\n", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("kind", FILES)
def test_the_command_writes_the_definition(kind: str) -> None:
    ran = CliRunner().invoke(main, ["containers", kind])
    assert (ran.exit_code, ran.output) == (0, definition(kind))
    assert f"aam-rocm containers {kind} > {FILES[kind]}\n" in ran.output


@pytest.mark.parametrize("kind", DOCKERFILES)
def test_dockerfiles_are_built_in_two_stages_and_do_not_run_as_root(kind: str) -> None:
    found = instructions(kind)
    assert {word for word, _ in found} <= INSTRUCTIONS
    bases = [rest for word, rest in found if word == "FROM"]
    assert bases == ["${BASE} AS build", "${BASE}"]
    last = found[[i for i, (word, _) in enumerate(found) if word == "FROM"][-1] :]
    assert ("USER", "10001") in last
    after = last[last.index(("USER", "10001")) :]
    assert any(word == "RUN" and "containers.smoke_test cpu" in rest for word, rest in after)  # as that user
    assert not any(word == "COPY" and "--from=build" not in rest for word, rest in last)  # no sources, no pip cache
    assert [rest for word, rest in found if word == "ENTRYPOINT"] == ['["aam"]']


@pytest.mark.parametrize("kind", FILES)
def test_versions_are_pinned(kind: str) -> None:
    text = definition(kind)
    (base,) = re.findall(r"^(?:ARG BASE=|From: )(\S+)$", text, re.M)
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-[a-z]+", base)
    assert "latest" not in text
    assert "2.7.1" in text
    for line in re.findall(r"pip install (.*)", text.replace("\\\n", " ")):
        names = [word for word in re.sub(r"\{\{.*?\}\}", "", line).split() if re.match(r'"?[a-z]', word)]
        assert all("==" in name for name in names), line
    assert "PIP_NO_CACHE_DIR=1" in text
    assert re.search(r"\w+\.(org|com|io)\b", text) is None  # addresses are arguments


def test_the_apptainer_definition_has_what_apptainer_reads() -> None:
    text = definition("rocm")
    parts = sections(text)
    assert {"arguments", "files", "post", "environment", "test", "runscript"} <= parts.keys()
    assert text.splitlines()[text.splitlines().index("Bootstrap: docker") + 1].startswith("From: python:")
    assert "torch==2.7.1+rocm6.3" in parts["post"]
    assert "--no-install-recommends" in parts["post"]
    assert "rm -rf /var/lib/apt/lists/*" in parts["post"]
    assert (
        set(re.findall(r"\{\{ (\w+) \}\}", text))
        == {"torch_index"}
        == set(re.findall(r"^ +(\w+)=", parts["arguments"], re.M))
    )
    for name in ("post", "test", "runscript", "environment"):
        checked = subprocess.run(["sh", "-n"], input=parts[name], capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, ""), name


def test_the_smoke_test_passes_here() -> None:
    assert smoke_test("cpu") is None
    done = subprocess.run(
        [sys.executable, "-m", "aam_rocm_tools.containers.smoke_test"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert torch.__version__ in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without GPU")
def test_the_smoke_test_fails_without_the_device() -> None:
    wrong = smoke_test("cuda")
    assert wrong is not None
    assert wrong.startswith("cuda: ")


def test_the_smoke_test_sees_wrong_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "scaled_dot_product_attention", lambda q, k, v, attn_mask: q / 0 * v)
    assert smoke_test("cpu") == "gradients of attention on cpu are not finite"

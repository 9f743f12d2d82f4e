"""Container definitions: pinned, small, not root, no address of a registry; their smoke test runs here."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

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


def unpinned(text: str) -> list[str]:
    """Return the words of a definition that install something without its version."""
    found = [base for base in re.findall(r"^(?:ARG BASE=|From: )(\S+)$", text, re.M) if not PINNED_BASE.fullmatch(base)]
    text = text.replace("\\\n", " ")
    for command in re.findall(r"pip install (.*)", text):
        words = shlex.split(re.sub(r"--index-url \S*\{\{.*?\}\}\S*", "", command))
        found += [word for word in words if not PINNED_WHEEL.fullmatch(word) and not is_own_package(word)]
    for command in re.findall(r"apt-get install (.*)", text):
        words = [word for word in shlex.split(command) if word not in ("-y", "--no-install-recommends")]
        found += [word for word in words if not re.fullmatch(r"[a-z0-9-]+=\d[\d.]+\*", word)]
    return found


PINNED_BASE = re.compile(r"python:\d+\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?")
PINNED_WHEEL = re.compile(r"[a-z0-9-]+==(\d[\w.+]*|\$\{TORCH_VERSION\})")
PACKAGES = Path(__file__).parents[2]
CONSTRAINTS = "packages/aam-rocm-tools/src/aam_rocm_tools/containers/files/constraints.txt"


def is_own_package(word: str) -> bool:
    path = PACKAGES / word.removeprefix("/src/packages/")
    return word.startswith("/src/packages/aam-") and (path / "pyproject.toml").is_file()


@pytest.mark.parametrize("kind", FILES)
def test_versions_are_pinned(kind: str) -> None:
    text = definition(kind)
    assert unpinned(text) == []
    assert "latest" not in text
    assert "2.7.1" in text
    assert "PIP_NO_CACHE_DIR=1" in text
    assert f"PIP_CONSTRAINT=/src/{CONSTRAINTS}" in text
    assert re.search(r"\w+\.(org|com|io)\b", text) is None  # addresses are arguments


@pytest.mark.parametrize(
    ("kind", "pinned", "loose"),
    [
        ("cpu", '"numpy==2.2.6"', "numpy"),
        ("cuda", '"torch==${TORCH_VERSION}" "numpy', '"torch" "numpy'),
        ("cpu", "/src/packages/aam-cli", "/src/packages/other"),
        ("cuda", "/src/packages/aam-cli", "/somewhere/else"),
        ("rocm", "/src/packages/aam-cli", "git+ssh:x"),
        ("rocm", '"libnuma1=2.0.16*"', "libnuma1"),
        ("cpu", "python:3.12.12-slim-bookworm", "python:3"),
    ],
)
def test_what_is_not_pinned_is_seen(kind: str, pinned: str, loose: str) -> None:
    text = definition(kind)
    assert pinned in text
    assert unpinned(text.replace(pinned, loose)) != []


def test_the_constraints_hold_every_package_that_is_installed() -> None:
    """Followed through the requirements of the packages as they are installed here; torch's own are exact."""
    pytest.importorskip("aam_cli", reason="its requirements are followed")
    lines = (PACKAGES.parent / CONSTRAINTS).read_text("utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==\d[\w.]*", pin) for pin in pins)
    names, waiting, seen = {pin.split("==")[0] for pin in pins}, ["aam-cli"], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name == "torch":
            continue
        seen.add(name)
        try:
            required = requires(name) or []
        except PackageNotFoundError:  # of this environment; the pin is there all the same
            continue
        waiting += [
            re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", need)[0]).lower() for need in required if "extra ==" not in need
        ]
    others = {name for name in seen if not name.startswith("aam-")}
    assert len(others) > 20
    assert others - names <= {"tomli", "importlib-resources", "backports-tarfile", "colorama", "exceptiongroup"}


@pytest.mark.parametrize("kind", FILES)
def test_the_base_can_be_pinned_by_its_digest(kind: str) -> None:
    digest = f"sha256:{'0a' * 32}"
    ran = CliRunner().invoke(main, ["containers", kind, "--base-digest", digest])
    assert ran.exit_code == 0, ran.output
    assert ran.output == definition(kind).replace("-bookworm\n", f"-bookworm@{digest}\n")
    assert ran.output.count(digest) == 1
    assert unpinned(ran.output) == []
    for wrong in ("0a", f"{digest}0", "sha256:..."):
        ran = CliRunner().invoke(main, ["containers", kind, "--base-digest", wrong])
        assert (ran.exit_code, "must be sha256: and 64 hexadecimal digits" in ran.output) == (2, True)


def test_the_apptainer_definition_has_what_apptainer_reads() -> None:
    text = definition("rocm")
    parts = sections(text)
    assert {"arguments", "files", "post", "environment", "test", "runscript"} <= parts.keys()
    assert text.splitlines()[text.splitlines().index("Bootstrap: docker") + 1].startswith("From: python:")
    assert "torch==2.7.1+rocm6.3" in parts["post"]
    assert 'test -n "{{ torch_index }}"' in parts["post"]  # the index of wheels has no default
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

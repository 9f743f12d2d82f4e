"""Every check of the project, each with the environment it needs.

``python -m pip install uv nox && python -m nox`` runs lint, types and tests; ``python -m nox --list`` names
the rest. Arguments after ``--`` go to the session's tool: ``python -m nox -s tests -- -k unifrac``.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "types", "tests"]

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PACKAGES = ["aam-data", "aam-models", "aam-train", "aam-cli", "aam-rocm-tools"]
# Packages that a wheel must not pull in, because they belong to other layers.
FOREIGN = {
    "aam-data": {"torch", "aam-models"},
    "aam-models": {"h5py", "pandas", "click", "aam-data"},
    "aam-train": {"aam-cli"},
    "aam-cli": set(),
    "aam-rocm-tools": {"aam-data", "aam-models", "h5py"},
}
OLDEST_TORCH = "torch==2.5.*"
# Files of tests on several cores, each with one thread; `-- -n 0` runs them in one process, for a debugger.
PARALLEL = ("-n", "auto", "--maxprocesses=4", "--dist=loadfile")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@nox.session(reuse_venv=True)
def lint(session: nox.Session) -> None:
    """Check the code with ruff."""
    session.install(*requirements("lint", "ruff"))
    session.run("ruff", "check", *session.posargs, ".")


@nox.session(reuse_venv=True)
def types(session: nox.Session) -> None:
    """Check the types with mypy."""
    sync(session, "lint")
    session.run("mypy", *session.posargs)
    session.run("python", "tests/typed_api.py")


@nox.session(reuse_venv=True)
def tests(session: nox.Session) -> None:
    """Run all tests but the slow ones."""
    sync(session, "test")
    session.run("pytest", "-m", "not slow", *PARALLEL, *session.posargs, env=ONE_THREAD)


@nox.session(reuse_venv=True)
def tests_slow(session: nox.Session) -> None:
    """Run the tests that need minutes."""
    sync(session, "test")
    session.run("pytest", "-m", "slow and not slurm", *session.posargs)


@nox.session(reuse_venv=True)
def slurm(session: nox.Session) -> None:
    """Run job scripts on a Slurm of two nodes on this machine; installs Debian's packages as root, else is skipped."""
    needed = {"sbatch": "slurm-wlm", "munged": "munge", "shellcheck": "shellcheck"}
    missing = [package for program, package in needed.items() if shutil.which(program) is None]
    if os.geteuid() or (missing and shutil.which("apt-get") is None):
        session.skip("needs root on Debian")
    if missing:
        try:
            session.run("apt-get", "update", "-qq", external=True)
            session.run(
                *("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing),
                external=True,
                env={"DEBIAN_FRONTEND": "noninteractive"},
            )
        except CommandFailed:
            session.skip(f"{', '.join(missing)} cannot be installed here")
    sync(session, "test")
    session.run("pytest", "-m", "slurm", *(session.posargs or ["tests/slurm"]))


@nox.session(reuse_venv=True)
def fuzz(session: nox.Session) -> None:
    """Read damaged files for an hour, or ``-- MINUTES``; files that show a bug are kept in a folder that is named."""
    sync(session, "test")
    folder = Path(tempfile.mkdtemp(prefix="aam-fuzz-"))
    end = time.monotonic() + 60 * float(session.posargs[0] if session.posargs else 60)
    tests = sorted(str(path) for path in ROOT.glob("packages/aam-data/tests/readers/fuzz/test_*.py"))
    bounds = {"AAM_FUZZ_EXAMPLES": "1000", "AAM_FUZZ_FOLDER": str(folder)}
    failures = 0
    while time.monotonic() < end:
        seed = f"--hypothesis-seed={secrets.randbits(32)}"
        try:
            session.run("pytest", "-q", "-p", "no:cacheprovider", seed, *tests, env=bounds)
        except CommandFailed:
            failures += 1
    counts: Counter[str] = Counter()
    for line in (folder / "counts.tsv").read_text("utf-8").splitlines():
        reader, ending, files = line.split("\t")
        counts[f"{reader} {ending}"] += int(files)
    session.log("files read: %s", ", ".join(f"{what}: {n:,}" for what, n in sorted(counts.items())))
    if failures:
        session.error(f"{failures} rounds failed, see above; the files that show it are in {folder}")


@nox.session
@nox.parametrize("package", PACKAGES, ids=PACKAGES)
def tests_package(session: nox.Session, package: str) -> None:
    """Run a package's tests where only its wheel is installed, so that an undeclared import fails."""
    references = {"aam-data": ("biom-format", "mapie", "scikit-bio", "scikit-learn"), "aam-train": ("biom-format",)}
    tools = ("pytest", "hypothesis", *references.get(package, ()))
    session.install(*wheels(session, package), *requirements("test", *tools), constraints(session))
    session.run("pytest", "-m", "not slow", *PARALLEL, *session.posargs, f"packages/{package}/tests", env=ONE_THREAD)


@nox.session
@nox.parametrize("package", PACKAGES, ids=PACKAGES)
def install(session: nox.Session, package: str) -> None:
    """Install a package's wheel as a user would: it brings its layer only, every module imports, aam runs."""
    session.install(*wheels(session, package), constraints(session))
    session.run("python", "tests/installed.py", package.replace("-", "_"), *sorted(FOREIGN[package]))
    if package == "aam-cli":
        with session.chdir(session.create_tmp()):
            session.run("aam", "--version")
            session.run("aam", "--help")
            session.run("aam", "simulate", "--output-dir", "study")


@nox.session(reuse_venv=True)
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build/html; a warning is an error."""
    session.install(*requirements("docs"), "click>=8.1.7", "lazy-loader>=0.4")
    # Only options are imported, and those need no other library: no torch for the documentation.
    session.install("--no-deps", *(f"--editable=packages/{package}" for package in PACKAGES))
    session.run("sphinx-build", "-W", "--keep-going", *session.posargs, "docs", "docs/_build/html")


@nox.session
def minimums(session: nox.Session) -> None:
    """Run the tests with the oldest libraries that the packages promise to work with."""
    direct = {name for package in PACKAGES for name in dependencies(package) if not name.startswith("aam-")}
    session.install(
        "--no-config",  # the constraints of the project are about the newest versions
        "--resolution=lowest-direct",
        *sorted(direct),
        *requirements("test"),
        OLDEST_TORCH,
    )
    session.install("--no-config", "--no-deps", *(f"--editable=packages/{package}" for package in PACKAGES))
    # What old libraries deprecate among themselves is not ours to repair.
    ignored = ("-W", "ignore::DeprecationWarning")
    session.run("pytest", "-m", "not slow", *ignored, *PARALLEL, *session.posargs, env=ONE_THREAD)


@nox.session(reuse_venv=True)
def bench(session: nox.Session) -> None:
    """Run a benchmark: ``-- NAME [OPTIONS]`` runs benchmarks/NAME.py; without a name, list them."""
    if not session.posargs:
        session.log("benchmarks: %s", ", ".join(sorted(path.stem for path in ROOT.glob("benchmarks/*.py"))))
        return
    sync(session, "test")
    session.run("python", f"benchmarks/{session.posargs[0]}.py", *session.posargs[1:])


def sync(session: nox.Session, group: str) -> None:
    """Install the whole workspace, editable, with a dependency group; uv applies the root project's constraints."""
    session.run_install(
        "uv",
        "sync",
        "--no-default-groups",
        f"--group={group}",
        f"--python={session.virtualenv.location}",
        env={"UV_PROJECT_ENVIRONMENT": session.virtualenv.location},
    )


def wheels(session: nox.Session, package: str) -> list[str]:
    """Build wheels of a package and of the project's packages it depends on."""
    folder = Path(session.create_tmp()).resolve() / "wheels"
    members, found = [package], []
    for member in members:
        members += [name for name in dependencies(member) if name.startswith("aam-") and name not in members]
        target = folder / member
        session.run_install("uv", "build", "--quiet", "--wheel", f"--package={member}", f"--out-dir={target}")
        found += [str(path) for path in target.glob("*.whl")]
    return found


def dependencies(package: str) -> list[str]:
    """Return the dependencies in a package's own pyproject."""
    project = nox.project.load_toml(ROOT / "packages" / package / "pyproject.toml")["project"]
    return list(project["dependencies"])


def requirements(group: str, *names: str) -> list[str]:
    """Return the requirements of a dependency group of the root project, or those of them that are named."""
    listed = nox.project.dependency_groups(PROJECT, group)
    return [entry for entry in listed if not names or entry.startswith(names)]


def constraints(session: nox.Session) -> str:
    """Write the root project's constraints to a file, for installs that are not a sync."""
    file = Path(session.create_tmp()).resolve() / "constraints.txt"
    file.write_text("\n".join(PROJECT["tool"]["uv"]["constraint-dependencies"]) + "\n", encoding="utf-8")
    return f"--constraint={file}"

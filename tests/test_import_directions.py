"""Who may import whom, read from the source without running it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The project's own packages that each package may import; other imports must be declared in its pyproject.
IN_HOUSE = {
    "aam_data": set(),
    "aam_models": set(),
    "aam_train": {"aam_data", "aam_models"},
    "aam_cli": {"aam_data", "aam_models", "aam_train", "aam_rocm_tools"},
    "aam_rocm_tools": set(),
}
IMPORT_NAME = {"biom-format": "biom", "scikit-learn": "sklearn", "tomli-w": "tomli_w"}
# Declared because torch wants them: torch.utils.tensorboard needs the one, importing torch warns without the other.
INDIRECT = {"aam_train": {"tensorboard"}, "aam_rocm_tools": {"numpy"}}
# Modules that `aam --help` may import: they import the standard library and each other only.
LIGHT = {
    "aam_data.options.alias",
    "aam_data.options.metadata_inputs",
    "aam_data.options.base",
    "aam_data.options.files",
    "aam_data.options.samples",
    "aam_data.options.commands",
    "aam_data.checked_json",
    "aam_data.errors",
    "aam_data.options.simulate",
    "aam_data.options.targets",
    "aam_models.config.conditioning",
    "aam_models.config.encoder",
    "aam_models.errors",
    "aam_models.config.limits",
    "aam_models.config.predictor",
    "aam_train.options.memory",
    "aam_train.options.cross_checks",
    "aam_train.options.compute",
    "aam_train.options.run",
    "aam_train.options.toml",
    "aam_train.errors",
    "aam_train.options.recipe_configs",
    "aam_train.options.losses",
    "aam_train.options.objective",
    "aam_train.options.optimizer",
    "aam_train.options.parallel",
    "aam_train.options.validate",
    "aam_train.signals",
    "aam_cli.config",
    "aam_rocm_tools.slurm.config",
}
# The same, and click: commands that the command line has from elsewhere.
COMMANDS = {"aam_rocm_tools.slurm.command"}


def sources(package: str) -> list[Path]:
    found = sorted((ROOT / "packages" / package.replace("_", "-") / "src" / package).rglob("*.py"))
    assert found
    return found


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    name = parts[parts.index("src") + 1 :]
    return ".".join(name[:-1] if name[-1] == "__init__" else name)


def imports(path: Path, *, at_start_only: bool = False) -> Iterator[str]:
    """Dotted names that a file imports; ``at_start_only`` leaves out functions and ``if TYPE_CHECKING``."""
    nodes: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module
        elif at_start_only and isinstance(node, ast.FunctionDef | ast.Lambda):
            continue
        elif at_start_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
        else:
            nodes += ast.iter_child_nodes(node)


def declared(package: str) -> set[str]:
    file = ROOT / "packages" / package.replace("_", "-") / "pyproject.toml"
    names = [re.split(r"[<>=!~ \[;]", entry)[0] for entry in tomllib.loads(file.read_text())["project"]["dependencies"]]
    return {IMPORT_NAME.get(name, name.replace("-", "_")) for name in names}


@pytest.mark.parametrize("package", IN_HOUSE)
def test_only_layers_below_and_declared_libraries_are_imported(package: str) -> None:
    used: dict[str, Path] = {}
    for path in sources(package):
        used |= {name.split(".")[0]: path for name in imports(path)}
    foreign = {name: path for name, path in used.items() if name not in {package, *sys.stdlib_module_names}}
    allowed = declared(package)
    assert {name for name in allowed if name.startswith("aam_")} <= IN_HOUSE[package]
    assert {name: str(path) for name, path in foreign.items() if name not in allowed} == {}


@pytest.mark.parametrize("package", IN_HOUSE)
def test_every_declared_library_is_imported(package: str) -> None:
    used = {name.split(".")[0] for path in sources(package) for name in imports(path)}
    assert declared(package) - used == INDIRECT.get(package, set())


def test_configs_import_the_standard_library_only() -> None:
    for package in IN_HOUSE:
        for path in sources(package):
            if module_name(path) in LIGHT or path.name == "config.py":
                heavy = {
                    name
                    for name in imports(path, at_start_only=True)
                    if name not in LIGHT and name.split(".")[0] not in sys.stdlib_module_names
                }
                assert heavy == set(), path


def test_the_command_line_starts_light() -> None:
    for path in [*sources("aam_cli"), *(p for p in sources("aam_rocm_tools") if module_name(p) in COMMANDS)]:
        heavy = {
            name
            for name in imports(path, at_start_only=True)
            if name not in LIGHT | COMMANDS and name.split(".")[0] not in {"click", "aam_cli", *sys.stdlib_module_names}
        }
        assert heavy == set(), path


def test_light_modules_exist() -> None:
    assert {module_name(path) for package in IN_HOUSE for path in sources(package)} >= LIGHT | COMMANDS


@pytest.mark.parametrize("package", IN_HOUSE)
def test_importing_a_package_imports_no_library(package: str) -> None:
    heavy = ("torch", "numpy", "pandas", "scipy", "h5py", "biom", "sklearn", "matplotlib", "rich", "click")
    code = f"import sys, {package}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

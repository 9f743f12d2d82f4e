"""Who may import whom, read from the source without running it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
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
IMPORT_NAME = {"biom-format": "biom", "scikit-learn": "sklearn", "tomli-w": "tomli_w", "lazy-loader": "lazy_loader"}
# Declared because torch wants them: torch.utils.tensorboard needs the one, importing torch warns without the other.
INDIRECT = {"aam_train": {"tensorboard"}, "aam_rocm_tools": {"numpy"}}
# The folders of each package, from the lowest floor up: each imports only folders before it. Modules at the top of a
# package are listed by name where they are roofs, which may import every folder; the others import no folder.
FLOORS = {
    "aam_data": [
        "options", "readers", "writers", "study", "simulate", "preprocessing", "unifrac", "splits", "checks", "corpus",
    ],
    "aam_models": ["config", "batch", "encoder", "predictor", "storage"],
    "aam_train": [
        "options", "reporting", "device", "profiling", "data", "losses", "parallel", "engine", "statistics",
        "baselines", "evaluation", "objectives", "memory", "runs", "setup", "training", "show", "recipes",
    ],
}  # fmt: skip
ROOFS = {"aam_models.build", "aam_models.attention_check"}
MAX_MODULES = 14  # in one folder, without its __init__
# Folders and modules that `aam --help` may import: they import the standard library and each other only.
LIGHT_FOLDERS = {"aam_data.options", "aam_models.config", "aam_train.options"}
LIGHT = {
    "aam_data.checked_json",
    "aam_data.codes",
    "aam_data.checks.findings",
    "aam_data.errors",
    "aam_data.notes",
    "aam_data.readers.foreign.files",
    "aam_data.readers.foreign.tables",
    "aam_data.readers.source",
    "aam_models.errors",
    "aam_train.errors",
    "aam_train.parallel.environment",
    "aam_train.reporting.durations",
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
    project = tomllib.loads(file.read_text())["project"]
    extras = [entry for entries in project.get("optional-dependencies", {}).values() for entry in entries]
    names = [re.split(r"[<>=!~ \[;]", entry)[0] for entry in [*project["dependencies"], *extras]]
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


def is_light(module: str) -> bool:
    return module in LIGHT or module in LIGHT_FOLDERS or module.rpartition(".")[0] in LIGHT_FOLDERS


def test_options_import_the_standard_library_only() -> None:
    light = [path for package in IN_HOUSE for path in sources(package) if is_light(module_name(path))]
    assert len(light) > 20
    for path in light:
        heavy = {
            name
            for name in imports(path, at_start_only=True)
            if not is_light(name) and name.split(".")[0] not in sys.stdlib_module_names
        }
        assert heavy == set(), path


@pytest.mark.parametrize("package", FLOORS)
def test_folders_import_only_folders_below_them(package: str) -> None:
    floors, wrong = FLOORS[package], []
    folders = {path.parent.name for path in sources(package) if path.parent.parent.name == package}
    assert folders == set(floors)
    for path in sources(package):
        own = module_name(path).split(".")[1:]
        floor = floors.index(own[0]) if own and own[0] in floors else -1
        if floor < 0 and (not own or module_name(path) in ROOFS):
            continue
        for name in imports(path):
            other = name.split(".")[1:2]
            if name.startswith(f"{package}.") and other[0] in floors and floors.index(other[0]) > floor:
                wrong.append(f"{module_name(path)} imports {name}")
    assert wrong == []


@pytest.mark.parametrize("package", IN_HOUSE)
def test_modules_import_each_other_without_circles(package: str) -> None:
    graph = {
        module_name(path): {name for name in imports(path) if name.startswith(f"{package}.")}
        for path in sources(package)
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("package", IN_HOUSE)
def test_no_folder_holds_too_many_modules(package: str) -> None:
    counts = Counter(str(path.parent) for path in sources(package) if path.name != "__init__.py")
    assert {folder: n for folder, n in counts.items() if n > MAX_MODULES} == {}


def test_the_command_line_starts_light() -> None:
    for path in [*sources("aam_cli"), *(p for p in sources("aam_rocm_tools") if module_name(p) in COMMANDS)]:
        heavy = {
            name
            for name in imports(path, at_start_only=True)
            if not (is_light(name) or name in COMMANDS)
            and name.split(".")[0] not in {"click", "aam_cli", *sys.stdlib_module_names}
        }
        assert heavy == set(), path


def test_light_modules_exist() -> None:
    modules = {module_name(path) for package in IN_HOUSE for path in sources(package)}
    assert modules >= LIGHT | LIGHT_FOLDERS | COMMANDS | ROOFS


@pytest.mark.parametrize("package", IN_HOUSE)
def test_importing_a_package_imports_no_library(package: str) -> None:
    heavy = ("torch", "numpy", "pandas", "scipy", "h5py", "biom", "sklearn", "matplotlib", "rich", "click")
    code = f"import sys, {package}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

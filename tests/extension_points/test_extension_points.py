"""The number of source files that a new loss, metric, head, ... touches: each is added to a copy, and used.

CONTRIBUTING.md ("How to add ...") lists the same files.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .augmentation import AUGMENTATION
from .baseline import BASELINE
from .encoder import ENCODER
from .extension import DATA, MODELS, TRAIN, add
from .head import HEAD
from .loss import LOSS
from .metric import METRIC
from .objective import OBJECTIVE
from .reader import READER

ROOT = Path(__file__).parents[2]
EXTENSIONS = {
    "loss": LOSS,
    "metric": METRIC,
    "head": HEAD,
    "objective": OBJECTIVE,
    "encoder": ENCODER,
    "reader": READER,
    "augmentation": AUGMENTATION,
    "baseline": BASELINE,
}


@pytest.mark.parametrize("name", EXTENSIONS)
def test_an_extension_touches_few_files_and_works(name: str, tmp_path: Path) -> None:
    extension = EXTENSIONS[name]
    assert len(extension.changes) <= extension.limit
    packages = tmp_path / "packages"
    for source in (DATA, MODELS, TRAIN):
        shutil.copytree(ROOT / "packages" / source, packages / source, ignore=shutil.ignore_patterns("__pycache__"))
    add(extension, packages)
    paths = [str((packages / source).parent) for source in (DATA, MODELS, TRAIN)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    program = extension.use + f"\nimport aam_train; assert aam_train.__file__.startswith({str(packages)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_contributing_lists_the_files_of_each_extension() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    table = dict(re.findall(r"^\| (an? [\w ]+) \| (.*) \|$", text, flags=re.MULTILINE))
    for name, extension in EXTENSIONS.items():
        (row,) = [files for what, files in table.items() if name in what]
        existing = {path for path in extension.changes if (ROOT / "packages" / path).is_file()}
        assert {path.split("/src/")[1] for path in existing} <= set(re.findall(r"`(aam_\w+/[\w/]+\.py)`", row)), name

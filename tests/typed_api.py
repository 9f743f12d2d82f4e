"""Run by the types session: ``python typed_api.py`` checks what a type checker sees of the public names.

Fails when mypy does not know the type of a public name, or accepts a call with wrong arguments.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import aam_data
import aam_models
import aam_train

PACKAGES = (aam_data, aam_models, aam_train)
WRONG = "aam_data.read_table(3, nonsense=4)"

lines = [f"import {package.__name__}" for package in PACKAGES]
lines += [f"reveal_type({package.__name__}.{name})" for package in PACKAGES for name in package.__all__]
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "public_names.py"
    file.write_text("\n".join([*lines, WRONG]) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "--no-incremental", str(file)]
    output = subprocess.run(command, capture_output=True, text=True).stdout
revealed = re.findall(r"Revealed type is (.*)", output)
n_names = sum(len(package.__all__) for package in PACKAGES)
if len(revealed) != n_names:
    sys.exit(f"{n_names} public names, {len(revealed)} types:\n{output}")
unknown = [kind for kind in revealed if kind.strip() == '"Any"']
if unknown:
    sys.exit(f"{len(unknown)} public names are Any:\n{output}")
if 'Unexpected keyword argument "nonsense"' not in output or 'has incompatible type "int"' not in output:
    sys.exit(f"accepted: {WRONG}\n{output}")
sys.stdout.write(f"mypy knows the types of {n_names} public names and rejects {WRONG}\n")

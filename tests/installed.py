"""Run by the install session inside a fresh environment: ``python installed.py PACKAGE FOREIGN...``.

Fails when the package's wheel brought one of the FOREIGN distributions, or when one of its modules does not import.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
import sys

name, *foreign = sys.argv[1:]
brought = {distribution.name for distribution in importlib.metadata.distributions()} & set(foreign)
if brought:
    sys.exit(f"{name} must not bring {', '.join(sorted(brought))}")
package = importlib.import_module(name)
for module in pkgutil.walk_packages(package.__path__, f"{name}."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)

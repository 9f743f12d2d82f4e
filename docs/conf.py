"""Sphinx configuration. The site is built by ``python -m nox -s docs``."""

from __future__ import annotations

import importlib.metadata

project = "AAM"
author = "The AAM developers"
copyright = "The AAM developers"
release = importlib.metadata.version("aam-cli")

extensions = ["myst_parser", "sphinx_click"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"AAM {release}"

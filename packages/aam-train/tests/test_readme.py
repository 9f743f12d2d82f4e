"""The example of the README runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", README.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(README), "exec"), {})
    assert (tmp_path / "runs" / "encoder" / "report" / "results.json").is_file()
    assert (tmp_path / "runs" / "degree-days" / "report" / "predicted_vs_true.png").is_file()
    assert (tmp_path / "predictions.tsv").read_text().startswith("sample-id\tprediction\n")

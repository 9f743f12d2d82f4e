"""The corpus of broken files: each is refused with a message that helps, and nothing is written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aam_cli.errors import run_program
from aam_cli.main import cli
from aam_data.codes import CODES

from .broken_files import CASES
from .broken_files.case import Case, Says
from .broken_files.good_study import write_good_study

ADDRESS_SPACE_GB = 2
MEMORY_MB = 400  # 190 are used, most of them by the libraries themselves
Capture = pytest.CaptureFixture[str]
# Codes that scripts rely on: they must never change.
PINNED = {
    "table_negative_counts": "table-counts-negative",
    "table_nan_counts": "table-counts-not-finite",
    "table_fractional_counts": "table-counts-fractional",
    "table_duplicate_samples": "ids-duplicate",
    "table_halves_differ": "table-halves-differ",
    "table_cut_in_half": "file-truncated",
    "table_transposed": "table-transposed",
    "features_are_hashes": "sequences-needed",
    "metadata_no_shared_samples": "ids-do-not-match",
    "metadata_lacks_samples": "ids-missing",
    "metadata_column_absent": "metadata-column-missing",
    "target_constant": "target-constant",
    "target_single_class": "target-too-few-classes",
    "groups_in_several_spellings": "groups-spelled-differently",
    "tree_without_lengths": "tree-no-lengths",
    "tree_of_other_features": "tree-tips-do-not-match",
    "distances_asymmetric": "distances-not-symmetric",
}


@pytest.fixture(scope="session")
def good_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that is accepted. Read only."""
    folder = tmp_path_factory.mktemp("good")
    write_good_study(folder)
    return folder


def listing(folder: Path) -> dict[str, str]:
    """Every path below ``folder``, with the digest of a file or the target of a link."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        found[name] = os.readlink(path) if path.is_symlink() else "folder"
        if path.is_file() and not path.is_symlink():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def tells(finding: dict[str, Any], says: Says, folder: Path) -> bool:
    """Whether a finding, as `aam check --json` prints it, says what it has to."""
    text = finding["problem"]
    if says.level == "error":
        about_file = finding["file"] == str(folder / says.file)
    else:
        about_file = says.file in text or says.problem in text  # a note is one sentence
    shown = finding["offenders"]
    return (
        finding["level"] == says.level
        and about_file
        and says.problem in text
        and says.place in (finding["place"] or "")
        and len(shown) >= len(says.offenders)
        and all(part in offender for part, offender in zip(says.offenders, shown, strict=False))
        and says.count in (None, finding["count"])
        and says.remedy in (finding["remedy"] or "")
    )


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_broken_file(
    case: Case, good_study: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "study", tmp_path / "elsewhere"
    shutil.copytree(good_study, folder)
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    case.spoil(folder)
    before = listing(tmp_path)

    status = run_program(cli, [*case.arguments(folder), "--json"])

    out, err = capsys.readouterr()
    assert err == ""
    findings = json.loads(out)["findings"]
    errors = [finding for finding in findings if finding["level"] == "error"]
    assert {finding["code"] for finding in findings} <= CODES.keys()
    assert PINNED.get(case.name) in {None, *(finding["code"] for finding in findings)}
    for says in case.says:
        assert any(tells(finding, says, folder) for finding in findings), (says, findings)
    assert (status, bool(errors)) == (case.status, case.status == 2), findings
    assert len(errors) <= max(1, sum(says.level == "error" for says in case.says)), errors  # nothing is said twice
    assert listing(tmp_path) == before


def test_no_case_needs_torch_or_much_memory(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="bounds of memory need a Unix")
    command = [sys.executable, "-m", "broken_files", str(tmp_path), str(ADDRESS_SPACE_GB)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each thread takes addresses
    run = subprocess.run(command, cwd=Path(__file__).parent, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert not found["torch"]
    assert found["mb"] < MEMORY_MB
    errors = {case.name: sum(says.level == "error" for says in case.says) for case in CASES}
    assert found["ends"] == {name: [2 if n else 0, n, ""] for name, n in errors.items()}


def test_the_good_study_is_accepted(good_study: Path, capsys: Capture) -> None:
    assert run_program(cli, [*Case("good", lambda folder: None, ()).arguments(good_study), "--json"]) == 0
    found = [finding for finding in json.loads(capsys.readouterr().out)["findings"] if finding["level"] != "note"]
    assert all(finding["problem"].startswith("only 2 ") for finding in found)  # it is small


def test_there_is_a_case_for_every_way() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert sum(case.status == 2 for case in CASES) >= 90
    assert PINNED.keys() <= set(names)

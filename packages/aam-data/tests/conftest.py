"""What several tests need: the real files, and QIIME 2 artifacts written here."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

UUID = "0d9a2f4e-6b1c-4c3d-9e5f-7a8b9c0d1e2f"


hypothesis.settings.register_profile("untimed", deadline=None)  # machines may be busy
hypothesis.settings.load_profile("untimed")


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data beside the repository."""
    folder = Path(__file__).parents[4] / "shared" / "data"
    if not folder.exists():
        pytest.skip("real data are not at ../shared/data")
    return folder


@pytest.fixture
def write_artifact() -> Callable[..., Path]:
    """A function that writes an artifact of type ``kind`` with one payload file."""

    def write(path: Path, kind: str, name: str, payload: bytes, *, root: str = UUID, uuid: str = UUID) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{root}/VERSION", "QIIME 2\narchive: 5\nframework: 2024.10.1\n")
            archive.writestr(f"{root}/metadata.yaml", f"uuid: {uuid}\ntype: {kind}\nformat: SomeDirFmt\n")
            archive.writestr(f"{root}/provenance/action/action.yaml", "action: test\n")
            archive.writestr(f"{root}/data/{name}", payload)
        return path

    return write

"""Folders are complete or absent; files that were changed afterwards are rejected by name."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aam_models.errors import ModelError
from aam_models.storage.folders import MANIFEST, new_folder, sha256, verify_folder, write_pointer

FILES = {"a.json": b'{"x": 1}\n', "b.bin": bytes(range(256)), "empty": b""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with new_folder(tmp_path / "model") as temporary:
        for name, content in FILES.items():
            (temporary / name).write_bytes(content)
    return tmp_path / "model"


def write_manifest(folder: Path, files: object) -> None:
    """A manifest whose own digest is right, whatever it says."""
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps({"files": files, "sha256": digest}))


def read_manifest(folder: Path) -> dict[str, dict[str, object]]:
    files: dict[str, dict[str, object]] = json.loads((folder / MANIFEST).read_text())["files"]
    return files


def test_a_published_folder_has_what_was_written_and_a_manifest_of_it(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {*FILES, MANIFEST}
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert read_manifest(folder) == {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in FILES.items()
    }
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    verify_folder(folder)


def test_parents_are_made(tmp_path: Path) -> None:
    with new_folder(tmp_path / "runs" / "one" / "model"):
        pass
    verify_folder(tmp_path / "runs" / "one" / "model")


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    file = tmp_path / "abc"
    file.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_behind_by_an_exception(error: type[BaseException], tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "model") as temporary:
            (temporary / "half").write_text("written")
            raise error("stop")

    with pytest.raises(error, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_no_folder_but_a_hidden_leftover(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal; from aam_models.storage.folders import new_folder\n"
        f"with new_folder(pathlib.Path({str(tmp_path / 'model')!r})) as temporary:\n"
        "    (temporary / 'half').write_text('written')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    (leftover,) = tmp_path.iterdir()
    assert leftover.match(".model.*.tmp")
    with new_folder(tmp_path / "model"):
        pass
    verify_folder(tmp_path / "model")


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_exists_is_never_replaced(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("mine")
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError) as caught, new_folder(path):
        pytest.fail("the block must not run")
    assert caught.value.filename == str(path)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_a_folder_made_by_another_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "model"

    def publish() -> None:
        with new_folder(path):
            path.mkdir()
            (path / "theirs").write_text("kept")

    with pytest.raises(OSError, match="model"):
        publish()
    assert [file.relative_to(tmp_path).as_posix() for file in sorted(tmp_path.rglob("*"))] == ["model", "model/theirs"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o755), (0o077, 0o700)])
def test_the_umask_decides_who_may_read(mask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        with new_folder(tmp_path / "model"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == mode


@pytest.mark.parametrize("name", ["a.json", "b.bin"])
@pytest.mark.parametrize("bit", [1, 128])
def test_one_flipped_bit_is_rejected_by_the_name_of_the_file(name: str, bit: int, folder: Path) -> None:
    content = bytearray(FILES[name])
    content[len(content) // 2] ^= bit
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=rf"model/{name}: the file was changed or is damaged"):
        verify_folder(folder)


@pytest.mark.parametrize("bit", [1, 8, 128])
def test_a_flipped_bit_anywhere_in_the_manifest_is_refused(bit: int, folder: Path) -> None:
    manifest = folder / MANIFEST
    whole = manifest.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= bit
        manifest.write_bytes(changed)
        with pytest.raises(ModelError, match=f"model/{MANIFEST}: "):
            verify_folder(folder)
    manifest.write_bytes(whole)
    verify_folder(folder)


def test_truncated_files_are_rejected_at_every_length(folder: Path) -> None:
    for name in ("b.bin", MANIFEST):
        whole = (folder / name).read_bytes()
        for length in range(len(whole) - (name == MANIFEST)):  # the manifest's last byte is a newline
            (folder / name).write_bytes(whole[:length])
            with pytest.raises(ModelError, match=f"model/{name}: "):
                verify_folder(folder)
        (folder / name).write_bytes(whole)


def test_missing_and_added_files_are_named(folder: Path) -> None:
    for number in range(7):
        (folder / f"new{number}").touch()
    with pytest.raises(ModelError, match="do not belong to the model: new0, new1, new2, new3, new4 and 2 more"):
        verify_folder(folder)
    (folder / "b.bin").unlink()
    with pytest.raises(ModelError, match=r"model: missing: b.bin\. Copy the model folder again"):
        verify_folder(folder)


def test_links_and_folders_instead_of_files_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "same.bin").write_bytes(FILES["b.bin"])
    (folder / "b.bin").unlink()
    (folder / "b.bin").symlink_to(tmp_path / "same.bin")
    with pytest.raises(ModelError, match=r"b.bin: not a plain file"):
        verify_folder(folder)
    (folder / "b.bin").unlink()
    (folder / "b.bin").mkdir()
    with pytest.raises(ModelError, match=r"b.bin: not a plain file"):
        verify_folder(folder)
    (folder / MANIFEST).rename(tmp_path / MANIFEST)
    for other in ((tmp_path / MANIFEST), tmp_path / "nowhere"):
        (folder / MANIFEST).symlink_to(other)
        with pytest.raises(ModelError, match=r"manifest.json: not a plain file"):
            verify_folder(folder)
        (folder / MANIFEST).unlink()
    (folder / MANIFEST).mkdir()
    with pytest.raises(ModelError, match=r"manifest.json: not a plain file"):
        verify_folder(folder)


def test_a_linked_manifest_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / MANIFEST).rename(tmp_path / "elsewhere.json")
    (folder / MANIFEST).symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ModelError, match=r"manifest.json: not a plain file"):
        verify_folder(folder)


@pytest.mark.parametrize("what", ["absent", "a file", "empty"])
def test_other_folders_are_reported(what: str, tmp_path: Path) -> None:
    path = tmp_path / "path"
    if what == "a file":
        path.touch()
    elif what == "empty":
        path.mkdir()
    with pytest.raises(ModelError, match=rf"path: not a model folder \(it has no {MANIFEST}\)"):
        verify_folder(path)


@pytest.mark.parametrize(
    "files",
    [
        None,
        [],
        "a.json",
        {"a.json": None},
        {"a.json": {}},
        {"a.json": {"size": 1}},
        {"a.json": {"size": "1", "sha256": "00"}},
        {"a.json": {"size": True, "sha256": "00"}},
        {"a.json": {"size": 1, "sha256": 0}},
        {"a.json": {"size": 1, "sha256": "00", "more": 1}},
    ],
    ids=str,
)
def test_manifests_of_another_form_are_refused(files: object, folder: Path) -> None:
    write_manifest(folder, files)
    with pytest.raises(ModelError, match=f"model/{MANIFEST}: the file was changed or is damaged"):
        verify_folder(folder)


@pytest.mark.parametrize("content", ["[]", "{}", '{"files": {}}', '{"files": {}, "files": {}}', "[" * 50_000])
def test_manifests_that_are_no_manifest_are_refused(content: str, folder: Path) -> None:
    (folder / MANIFEST).write_text(content)
    with pytest.raises(ModelError, match=f"model/{MANIFEST}: "):
        verify_folder(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "sub/a.json", "", ".", ".."])
def test_names_in_a_manifest_are_names_and_no_paths(name: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(FILES["a.json"])
    files = read_manifest(folder)
    write_manifest(folder, {**files, name: files["a.json"]})
    with pytest.raises(ModelError, match="model: missing: "):
        verify_folder(folder)


def test_pointers_are_relative_links_to_their_siblings(tmp_path: Path) -> None:
    for step in ("step-1", "step-2"):
        (tmp_path / "a" / step).mkdir(parents=True)
        write_pointer(tmp_path / "a" / "best", tmp_path / "a" / step)
        assert (tmp_path / "a" / "best").readlink() == Path(step)
    (tmp_path / "a").rename(tmp_path / "b")
    assert (tmp_path / "b" / "best").resolve() == (tmp_path / "b" / "step-2").resolve()
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["best", "step-1", "step-2"]


def test_a_pointer_is_replaced_despite_the_leftover_of_a_killed_writer(tmp_path: Path) -> None:
    (tmp_path / ".best.tmp").symlink_to("step-0")
    (tmp_path / "step-1").mkdir()
    write_pointer(tmp_path / "best", tmp_path / "step-1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "step-1"]


def test_a_reader_always_finds_one_of_the_targets(tmp_path: Path) -> None:
    targets = [tmp_path / "step-1", tmp_path / "step-2"]
    for target in targets:
        target.mkdir()
        (target / "name").write_text(target.name)
    write_pointer(tmp_path / "best", targets[0])
    seen, done = [], threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append((tmp_path / "best").readlink().name)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for turn in range(100):
            write_pointer(tmp_path / "best", targets[turn % 2])
    finally:
        done.set()
        reader.join()
    assert set(seen) <= {"step-1", "step-2"}
    assert (tmp_path / "best" / "name").read_text() == "step-2"

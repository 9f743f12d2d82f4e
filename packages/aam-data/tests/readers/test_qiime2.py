"""Artifacts, zip and gzip: files that are read, and files that are rejected before they are inflated."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from aam_data.errors import DataError
from aam_data.readers.qiime2 import identify, open_artifact, read_content
from aam_data.readers.safe.zip import open_zip

Write = Callable[..., Path]
TREE = ("Phylogeny[Rooted]",)
LIMIT = 10**6


def test_payload_uuid_and_type(tmp_path: Path, write_artifact: Write) -> None:
    path = write_artifact(tmp_path / "t.qza", "Phylogeny[Rooted]", "tree.nwk", b"(a:1,b:1);")
    artifact = open_artifact(path, TREE, LIMIT)
    assert artifact.payload == b"(a:1,b:1);"
    assert artifact.type == "Phylogeny[Rooted]"
    identity = identify(path)
    assert (identity.uuid, identity.type, identity.path) == (artifact.uuid, artifact.type, str(path))
    assert identity.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_type_may_have_properties(tmp_path: Path, write_artifact: Write) -> None:
    kind = "Phylogeny[Rooted] % Properties('phylogeny')"
    path = write_artifact(tmp_path / "t.qza", kind, "tree.nwk", b";")
    assert open_artifact(path, TREE, LIMIT).type == kind


def test_properties_may_stand_inside_of_the_type(tmp_path: Path, write_artifact: Write) -> None:
    kind = "FeatureTable[Frequency % Properties('uniform-sampling')]"
    path = write_artifact(tmp_path / "t.qza", kind, "feature-table.biom", b"counts")
    artifact = open_artifact(path, ("FeatureTable[Frequency]",), LIMIT)
    assert (artifact.payload, artifact.type) == (b"counts", kind)


UUID = "0d9a2f4e-6b1c-4c3d-9e5f-7a8b9c0d1e2f"


def cache_entry(folder: Path, write_artifact: Write) -> Path:
    """Write an unpacked artifact, as ``qiime tools cache-store`` does."""
    path = write_artifact(folder / "t.qza", "Phylogeny[Rooted]", "tree.nwk", b"(a:1,b:1);")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder / "data")
    return folder / "data" / UUID


def test_cache_entry(tmp_path: Path, write_artifact: Write) -> None:
    entry = cache_entry(tmp_path, write_artifact)
    assert read_content(entry, "--tree", TREE, LIMIT) == b"(a:1,b:1);"
    (tmp_path / "by-name").symlink_to(entry)
    assert read_content(tmp_path / "by-name", "--tree", TREE, LIMIT) == b"(a:1,b:1);"
    identity = identify(entry)
    assert (identity.uuid, identity.type, identity.path) == (UUID, "Phylogeny[Rooted]", str(entry))
    listing = "".join(
        f"{hashlib.sha256((entry / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("VERSION", "data/tree.nwk", "metadata.yaml", "provenance/action/action.yaml")
    )
    assert identity.sha256 == hashlib.sha256(listing.encode()).hexdigest()


def test_broken_cache_entry(tmp_path: Path, write_artifact: Write) -> None:
    entry = cache_entry(tmp_path, write_artifact)
    with pytest.raises(DataError, match=r"expected DistanceMatrix, got Phylogeny\[Rooted\]"):
        open_artifact(entry, ("DistanceMatrix",), LIMIT)
    with pytest.raises(DataError, match="--max-input-gb"):
        open_artifact(entry, TREE, 50)
    (entry / "data" / "tree.nwk").unlink()
    with pytest.raises(DataError, match=r"data/tree.nwk: missing from the cache entry"):
        open_artifact(entry, TREE, LIMIT)
    (entry / "data" / "tree.nwk").symlink_to("/etc/hostname")
    with pytest.raises(DataError, match=r"neither files nor folders \(data/tree.nwk\)"):
        open_artifact(entry, TREE, LIMIT)
    other = entry.rename(entry.with_name("not-a-uuid"))
    with pytest.raises(DataError, match=r"is a directory.*--tree"):
        read_content(other, "--tree", TREE, LIMIT)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_cache_entry(tmp_path: Path, write_artifact: Write) -> None:
    entry = cache_entry(tmp_path, write_artifact)
    (entry / "data" / "tree.nwk").chmod(0)
    with pytest.raises(DataError, match=r"data/tree.nwk: cannot be read: Permission denied"):
        open_artifact(entry, TREE, LIMIT)


def test_real_artifact(shared_data: Path) -> None:
    identity = identify(shared_data / "ibd/table.qza")
    assert identity.uuid == "039f76b6-33a7-4d60-b29e-8bac4bed9c77"
    assert identity.type == "FeatureTable[Frequency]"
    payload = open_artifact(shared_data / "ibd/table.qza", ("FeatureTable[Frequency]",), 10**7).payload
    assert payload == (shared_data / "ibd/table.biom").read_bytes()


def test_plain_and_gzip_content_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"some text\n" * 1000)
    (tmp_path / "packed").write_bytes(gzip.compress(b"some text\n" * 1000))
    read = [read_content(tmp_path / name, "--tree", TREE, LIMIT) for name in ("plain", "packed")]
    assert read[0] == read[1] == b"some text\n" * 1000


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("FeatureTable[RelativeFrequency]", "expected FeatureTable.Frequency., got FeatureTable.RelativeFrequency."),
        ("Visualization", r"visualization \(.qzv\).*expected FeatureTable\[Frequency\]. Pass the artifact"),
    ],
)
def test_wrong_type(tmp_path: Path, write_artifact: Write, kind: str, message: str) -> None:
    path = write_artifact(tmp_path / "t.qza", kind, "feature-table.biom", b"")
    with pytest.raises(DataError, match=message):
        open_artifact(path, ("FeatureTable[Frequency]",), LIMIT)


def test_payload_missing(tmp_path: Path, write_artifact: Write) -> None:
    path = write_artifact(tmp_path / "t.qza", "Phylogeny[Rooted]", "other.nwk", b"")
    with pytest.raises(DataError, match=r"data/tree.nwk: missing"):
        open_artifact(path, TREE, LIMIT)


@pytest.mark.parametrize("root", ["study", "0d9a2f4e-6b1c-1c3d-9e5f-7a8b9c0d1e2f"])
def test_folder_must_be_a_uuid4(tmp_path: Path, write_artifact: Write, root: str) -> None:
    path = write_artifact(tmp_path / "t.qza", "Phylogeny[Rooted]", "tree.nwk", b"", root=root)
    with pytest.raises(DataError, match=rf"one folder named by a UUID, found \({root}\)"):
        open_artifact(path, TREE, LIMIT)


def test_uuid_must_be_that_of_the_folder(tmp_path: Path, write_artifact: Write) -> None:
    path = write_artifact(tmp_path / "t.qza", "Phylogeny[Rooted]", "tree.nwk", b"", uuid="another")
    with pytest.raises(DataError, match="not the UUID of the folder"):
        open_artifact(path, TREE, LIMIT)


def test_two_folders_and_foreign_version(tmp_path: Path, write_artifact: Write) -> None:
    path = write_artifact(tmp_path / "two.qza", "Phylogeny[Rooted]", "tree.nwk", b"")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("second/file", "x")
    with pytest.raises(DataError, match=r"found .*second"):
        open_artifact(path, TREE, LIMIT)
    with zipfile.ZipFile(tmp_path / "foreign.qza", "w") as archive:
        archive.writestr(f"{UUID}/VERSION", "OTHER 3\n")
    with pytest.raises(DataError, match="first line is not QIIME 2"):
        open_artifact(tmp_path / "foreign.qza", TREE, LIMIT)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "a\\evil"])
def test_names_that_lead_out(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("a/good", "x")
        archive.writestr(name, "x")
    with pytest.raises(DataError, match="lead out of the archive"), open_zip(tmp_path / "t.zip", LIMIT):
        pass
    assert sorted(os.listdir(tmp_path)) == ["t.zip"]


def test_symbolic_link(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"symbolic links \(a/link\)"), open_zip(tmp_path / "t.zip", LIMIT):
        pass


def test_encrypted_member(tmp_path: Path) -> None:
    path = tmp_path / "t.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/secret", "x")
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[6] |= 1  # general purpose flags of the local and of the central header
    content[central + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"encrypted members \(a/secret\)"), open_zip(path, LIMIT):
        pass


def test_unusual_compression_and_repeated_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "lzma.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a/x", "x")
    with pytest.raises(DataError, match="unusual compression"), open_zip(tmp_path / "lzma.zip", LIMIT):
        pass
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("a/x", "x")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a/x", "y")
    with pytest.raises(DataError, match=r"appear twice \(a/x\)"), open_zip(tmp_path / "twice.zip", LIMIT):
        pass


def test_declared_size_is_rejected_before_inflating(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/zeros", bytes(10 * LIMIT))
    assert (tmp_path / "bomb.zip").stat().st_size < LIMIT / 10
    with pytest.raises(DataError, match="--max-input-gb"), open_zip(tmp_path / "bomb.zip", LIMIT):
        pass


def test_member_without_a_name(tmp_path: Path) -> None:
    path = tmp_path / "t.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "x")
    content = bytearray(path.read_bytes())
    struct.pack_into("<HH", content, content.index(b"PK\x01\x02") + 28, 0, 1)  # the name becomes an extra field
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"members without a name, at \(byte 0\)"), open_zip(path, LIMIT):
        pass


def test_a_ratio_that_no_data_have(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/zeros", bytes(20_000_000))
    expected = r"expand more than 300-fold \(a/zeros\)"
    with pytest.raises(DataError, match=expected), open_zip(tmp_path / "bomb.zip", 10**9):
        pass


@pytest.mark.parametrize("declared", [10, 200_000])
def test_lying_size(tmp_path: Path, declared: int) -> None:
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/zeros", bytes(100_000))
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, declared)
    struct.pack_into("<I", content, 22, declared)
    path.write_bytes(content)
    with open_zip(path, LIMIT) as archive, pytest.raises(DataError, match="a/zeros: damaged zip archive"):
        archive.read("a/zeros")


def test_truncated_zip_at_many_places(tmp_path: Path, write_artifact: Write) -> None:
    path = write_artifact(tmp_path / "t.qza", "Phylogeny[Rooted]", "tree.nwk", b"(a:1,b:1);" * 50)
    content = path.read_bytes()
    for size in range(4, len(content), 37):
        path.write_bytes(content[:size])
        with pytest.raises(DataError, match="damaged zip archive"):
            open_artifact(path, TREE, LIMIT)


def test_gzip_bomb_and_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(bytes(10 * LIMIT)))
    with pytest.raises(DataError, match="--max-input-gb"):
        read_content(path, "--tree", TREE, LIMIT)
    whole = gzip.compress(os.urandom(2000))
    for content in (whole[:-1], whole[:500], whole[:300] + b"\xff\x00\xff" + whole[303:], whole + b"tail"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="damaged gzip"):
            read_content(path, "--tree", TREE, LIMIT)


def test_what_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    for name, message in {
        "absent": "No such file.*--tree",
        ".": "is a directory.*--tree",
        "pipe": "not a regular file",
        "empty": "file is empty",
    }.items():
        with pytest.raises(DataError, match=message):
            read_content(tmp_path / name, "--tree", TREE, LIMIT)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0)
    with pytest.raises(DataError, match=r"Permission denied.*--tree"):
        read_content(tmp_path / "secret", "--tree", TREE, LIMIT)


def test_plain_file_above_the_limit(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"(" * (LIMIT + 1))
    with pytest.raises(DataError, match="--max-input-gb"):
        read_content(tmp_path / "large", "--tree", TREE, LIMIT)

"""QIIME 2 artifacts and the archives that pretend to be some."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .case import Case, Says, Spoil, case, content
from .good_study import fasta_text, lsmat_text, metadata_text, tree_text

FILE, UUID = "table.qza", "0d9a2f4e-6b1c-4c3d-9e5f-7a8b9c0d1e2f"
TYPE = "FeatureTable[Frequency]"
PAYLOAD = f"{UUID}/data/feature-table.biom"
Edit = Callable[[zipfile.ZipFile], object]


def artifact(
    payload: bytes,
    name: str = "feature-table.biom",
    kind: str = TYPE,
    edit: Edit = lambda archive: None,
    root: str = UUID,
) -> bytes:
    """An artifact (qiime2/core/archive, version 5) with one payload file, after an edit of the archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{root}/VERSION", "QIIME 2\narchive: 5\nframework: 2024.10.1\n")
        archive.writestr(f"{root}/metadata.yaml", f"uuid: {UUID}\ntype: {kind}\nformat: BIOMV210DirFmt\n")
        archive.writestr(f"{root}/data/{name}", payload)
        edit(archive)
    return stream.getvalue()


def qza(edit: Edit = lambda archive: None, after: Callable[[bytes], bytes] = bytes, **fields: Any) -> Spoil:
    """The table as an artifact, after an edit of the archive and then of its bytes."""

    def spoil(folder: Path) -> None:
        payload = fields.pop("payload", None) or (folder / "table.biom").read_bytes()
        content(FILE, after(artifact(payload, edit=edit, **fields)))(folder)

    return spoil


def bare(*members: tuple[str, str | bytes]) -> Spoil:
    """An archive of these members alone."""

    def spoil(folder: Path) -> None:
        with zipfile.ZipFile(folder / FILE, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in members:
                archive.writestr(name, text)

    return spoil


def member(name: str, text: str | bytes = "x", **attributes: Any) -> Edit:
    """One more member."""

    def edit(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        for key, value in attributes.items():
            setattr(info, key, value)
        archive.writestr(info, text)

    return edit


def directory(offset: int, code: str, value: int, of: str = PAYLOAD) -> Callable[[bytes], bytes]:
    """An archive whose central directory has another number at ``offset`` of the entry of a member."""

    def edit(archive: bytes) -> bytes:
        changed = bytearray(archive)
        entry = archive.rindex(of.encode()) - 46
        struct.pack_into(code, changed, entry + offset, value)
        return bytes(changed)

    return edit


def zeros(archive: zipfile.ZipFile) -> None:
    """A member of 210 MB that takes 200 KB."""
    with archive.open(f"{UUID}/zeros", "w") as stream:
        for _ in range(210):
            stream.write(bytes(10**6))


def flipped(archive: bytes) -> bytes:
    """One bit of the payload's compressed bytes changed."""
    changed = bytearray(archive)
    changed[archive.index(PAYLOAD.encode()) + len(PAYLOAD) + 200] ^= 4
    return bytes(changed)


def with_(name: str, file: str, kind: str, text: str) -> Spoil:
    return lambda folder: content(name, artifact(text.encode(), file, kind))(folder)


def cache(edit: Callable[[Path], object] = lambda folder: None) -> Spoil:
    """The table as an entry of a QIIME 2 cache, a folder with the members of an artifact, after an edit."""

    def spoil(folder: Path) -> None:
        with zipfile.ZipFile(io.BytesIO(artifact((folder / "table.biom").read_bytes()))) as archive:
            archive.extractall(folder)
        edit(folder / UUID)

    return spoil


def linked(folder: Path) -> None:
    """The payload as a link to a file elsewhere."""
    (folder / "data" / "feature-table.biom").unlink()
    (folder / "data" / "feature-table.biom").symlink_to(folder.parent / "table.biom")


T = {"table": FILE}
NOT_ONE = "not a QIIME 2 artifact"
DAMAGED = "damaged zip archive"
MADE_AGAIN = "make the archive again"
CASES: list[Case] = [
    case("qza_good", qza(), **T),
    case("qza_with_properties", qza(kind=f"{TYPE} % Properties('phylogenetic')"), **T),
    case("qza_metadata", with_("m.qza", "metadata.tsv", "ImmutableMetadata", metadata_text()), metadata="m.qza"),
    case("qza_tree", with_("t.qza", "tree.nwk", "Phylogeny[Rooted]", tree_text()), tree="t.qza"),
    case(
        "qza_distances",
        with_("d.qza", "distance-matrix.tsv", "DistanceMatrix", lsmat_text()),
        tree=None,
        unifrac_matrix="d.qza",
    ),
    case(
        "qza_sequences", with_("s.qza", "dna-sequences.fasta", "FeatureData[Sequence]", fasta_text()), sequences="s.qza"
    ),
    case("cache_good", cache(), table=UUID),
    case(
        "cache_with_a_link",
        cache(linked),
        Says(UUID, "neither files nor folders", "", ("data/feature-table.biom",), 1),
        table=UUID,
    ),
    case(
        "cache_without_payload",
        cache(lambda folder: (folder / "data" / "feature-table.biom").unlink()),
        Says(UUID, "missing from the cache entry", PAYLOAD),
        table=UUID,
    ),
    case(
        "qza_is_no_zip",
        content(FILE, np.random.Generator(np.random.PCG64(2)).bytes(999)),
        Says(FILE, "not a BIOM", remedy="--table"),
        **T,
    ),
    case(
        "qza_cut_in_half",
        qza(after=lambda archive: archive[: len(archive) // 2]),
        Says(FILE, DAMAGED, remedy="Copy the file again"),
        **T,
    ),
    case(
        "qza_cut_by_one_byte",
        qza(after=lambda archive: archive[:-1]),
        Says(FILE, DAMAGED, remedy="Copy the file again"),
        **T,
    ),
    case("qza_byte_flipped", qza(after=flipped), Says(FILE, DAMAGED, PAYLOAD, remedy="Copy the file again"), **T),
    case(
        "qza_two_folders",
        qza(member("other/VERSION")),
        Says(FILE, f"{NOT_ONE}: expected one folder", "", (UUID, "other"), 2),
        **T,
    ),
    case("qza_no_uuid", qza(root="table"), Says(FILE, f"{NOT_ONE}: expected one folder", "", ("table",), 1), **T),
    case(
        "qza_other_uuid_inside",
        qza(root="1d9a2f4e-6b1c-4c3d-9e5f-7a8b9c0d1e2f"),
        Says(FILE, "not the UUID of the folder", "metadata.yaml"),
        **T,
    ),
    case(
        "qza_without_version",
        bare((f"{UUID}/metadata.yaml", "")),
        Says(FILE, "missing from the archive", f"{UUID}/VERSION"),
        **T,
    ),
    case("qza_of_something_else", bare(("readme.txt", "hello")), Says(FILE, NOT_ONE, "", ("readme.txt",), 1), **T),
    case("qza_empty_zip", bare(), Says(FILE, "is an empty zip archive", remedy="Copy the file again"), **T),
    case("qza_without_payload", qza(name="other.biom"), Says(FILE, "missing from the archive", PAYLOAD), **T),
    case("qza_wrong_type", qza(kind="Phylogeny[Rooted]"), Says(FILE, f"expected {TYPE}, got Phylogeny[Rooted]"), **T),
    case(
        "qza_relative_table",
        qza(kind="FeatureTable[RelativeFrequency]"),
        Says(FILE, "RelativeFrequency", remedy="--relative-abundance"),
        **T,
    ),
    case("qza_visualization", qza(kind="Visualization"), Says(FILE, "a visualization", remedy=".qza"), **T),
    case(
        "qza_tree_of_wrong_type",
        with_("t.qza", "tree.nwk", "FeatureData[Sequence]", tree_text()),
        Says("t.qza", "got FeatureData[Sequence]"),
        tree="t.qza",
    ),
    case(
        "zip_goes_up",
        qza(member(f"{UUID}/../../x")),
        Says(FILE, "lead out of the archive", "", (f"{UUID}/../../x",), 1, MADE_AGAIN),
        **T,
    ),
    case(
        "zip_absolute_name",
        qza(member("/etc/x")),
        Says(FILE, "lead out of the archive", "", ("/etc/x",), 1, MADE_AGAIN),
        **T,
    ),
    case(
        "zip_drive_letter",
        qza(member("C:/x")),
        Says(FILE, "lead out of the archive", "", ("C:/x",), 1, MADE_AGAIN),
        **T,
    ),
    case(
        "zip_symbolic_link",
        qza(member(f"{UUID}/data/link", "/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16)),
        Says(FILE, "symbolic links", "", (f"{UUID}/data/link",), 1, MADE_AGAIN),
        **T,
    ),
    case(
        "zip_encrypted",
        qza(after=directory(8, "<H", 1)),
        Says(FILE, "encrypted members", "", (PAYLOAD,), 1, MADE_AGAIN),
        **T,
    ),
    case(
        "zip_unusual_compression",
        qza(member(f"{UUID}/x", compress_type=zipfile.ZIP_LZMA)),
        Says(FILE, "unusual compression", "", (f"{UUID}/x",), 1, MADE_AGAIN),
        **T,
    ),
    case("zip_declares_210_mb", qza(zeros), Says(FILE, "expand more than", "", (f"{UUID}/zeros",), 1, MADE_AGAIN), **T),
    case(
        "zip_larger_than_the_limit",
        qza(),
        Says(FILE, "GB of content, the limit is 1e-05 GB", remedy="--max-input-gb"),
        max_input_gb=1e-5,
        **T,
    ),
    case("zip_declares_less_than_it_holds", qza(after=directory(24, "<I", 100)), Says(FILE, DAMAGED, PAYLOAD), **T),
    case("zip_declares_more_than_it_holds", qza(after=directory(24, "<I", 10**6)), Says(FILE, DAMAGED, PAYLOAD), **T),
    case("zip_member_past_the_end", qza(after=directory(42, "<I", 10**8)), Says(FILE, DAMAGED), **T),
    case("zip_in_a_zip", qza(payload=artifact(b"x")), Says(FILE, "not a BIOM"), **T),
    case(
        "qza_payload_random",
        qza(payload=np.random.Generator(np.random.PCG64(2)).bytes(999)),
        Says(FILE, "not a BIOM"),
        **T,
    ),
    case("qza_payload_empty", with_(FILE, "feature-table.biom", TYPE, ""), Says(FILE, "empty"), **T),
]

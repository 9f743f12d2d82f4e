"""The files of one study of a corpus: table, metadata, tree, taxonomy and frame."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from aam_data.corpus.arrays import ArrayFile, MappedArray, write_array, write_text
from aam_data.corpus.manifest import METADATA_FILE, TABLE_FILES, TAXONOMY_FILE, TREE_FILES, FileFacts
from aam_data.corpus.mapped_rows import Shard
from aam_data.errors import DataError
from aam_data.readers.ids import as_objects
from aam_data.readers.metadata.metadata import Metadata
from aam_data.readers.taxonomy import Taxonomy
from aam_data.study.frame.frame import Frame
from aam_data.study.phylogeny import Phylogeny
from aam_data.study.study import Study
from aam_data.table import CountTable

IDS, INDPTR, INDICES, COUNTS, DEPTHS, FRAME = TABLE_FILES
_ID_COLUMN, _TAXON_HEADER = "sample-id", ["Feature ID", "Taxon"]  # as QIIME 2 names them
_DAMAGED = "Restore the file from a copy of the corpus"


def write_study_files(path: Path, study: Study, sample_ids: np.ndarray, frame: Frame) -> dict[str, FileFacts]:
    """Write the folder of a study and return the facts about its files.

    Args:
        path: the folder, which exists and is empty.
        study: as it was read.
        sample_ids: [B] ids of its samples in the corpus.
        frame: of its reads.
    """
    _write_table(path, study.table, sample_ids)
    write_text(path / FRAME, json.dumps(frame.to_dict(), indent=1) + "\n")
    if study.metadata is not None:
        _write_metadata(path / METADATA_FILE, study.metadata, sample_ids)
    if study.phylogeny is not None:
        tree = study.phylogeny
        arrays = (tree.tip_start, tree.tip_stop, tree.branch_length, tree.feature_tip)
        for name, array in zip(TREE_FILES, arrays, strict=True):
            write_array(path / name, array)
    if study.taxonomy is not None:
        _write_taxonomy(path / TAXONOMY_FILE, study.taxonomy)
    return {file.name: FileFacts.of(file) for file in sorted(path.iterdir())}


def _write_table(path: Path, table: CountTable, sample_ids: np.ndarray) -> None:
    data = table.data
    ids = "\n".join(sample_ids.tolist()).encode("utf-8")  # which have no line breaks
    write_array(path / IDS, np.frombuffer(ids, dtype=np.uint8))
    for name, array in ((INDPTR, data.indptr), (INDICES, data.indices), (COUNTS, data.counts)):
        write_array(path / name, array)
    write_array(path / DEPTHS, table.depths())


def _write_metadata(path: Path, metadata: Metadata, sample_ids: np.ndarray) -> None:
    columns = [metadata.text(column) for column in metadata.columns]
    rows = zip(sample_ids, *columns, strict=True)
    write_text(path, _tsv([_ID_COLUMN, *metadata.columns], rows))


def _write_taxonomy(path: Path, taxonomy: Taxonomy) -> None:
    write_text(path, _tsv(_TAXON_HEADER, zip(taxonomy.feature_ids, taxonomy.taxa, strict=True)))


def _tsv(header: Sequence[str], rows: Iterator[tuple[str | None, ...]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, "excel-tab", lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return text.getvalue()


def _rows_of_tsv(path: Path) -> Iterator[list[str]]:
    """Yield the header and the rows, each as long as the header."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            width = 0
            for row in csv.reader(file, "excel-tab", strict=True):
                width = width or len(row)
                if len(row) != width:
                    raise _wrong(path, f"a row of {len(row):,} cells, where the header has {width:,}")
                yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise _wrong(path, str(error)) from error


def read_sample_ids(path: Path) -> np.ndarray:
    """Read the ids of a study's samples, [B] str objects, from its folder."""
    return as_objects(MappedArray(path / IDS, "u").values.tobytes().decode("utf-8").split("\n"))


def read_shard(path: Path, members: np.ndarray) -> Shard:
    """Map the counts in the folder of a study to memory.

    Args:
        members: numbers of its ASVs in the corpus.

    Raises:
        DataError: arrays that do not belong together.
    """
    indptr, depths = (np.array(MappedArray(path / name, "i").values) for name in (INDPTR, DEPTHS))
    shard = Shard(indptr, ArrayFile(path / INDICES, "i"), ArrayFile(path / COUNTS, "i"), members, depths)
    n_entries = len(shard.indices)
    rising = len(indptr) > 1 and indptr[0] == 0 and bool((np.diff(indptr) >= 0).all())
    if not rising or indptr[-1] != n_entries or len(shard.counts) != n_entries or len(depths) + 1 != len(indptr):
        raise _wrong(path / INDPTR, "its rows are not those of the other arrays")
    return shard


def read_tree(path: Path) -> Phylogeny:
    """Read the tree in the folder of a study."""
    start, stop, length, tip = (
        np.array(MappedArray(path / name, kind).values) for name, kind in zip(TREE_FILES, "iifi", strict=True)
    )
    if not len(start) == len(stop) == len(length) or stop.max(initial=0) <= tip.max(initial=-1):
        raise _wrong(path / TREE_FILES[0], "its branches are not those of the other arrays")
    return Phylogeny(start, stop, length, tip, int(stop.max(initial=0)))


def read_taxa(path: Path, n_asvs: int) -> np.ndarray:
    """Read the taxa of a study's ASVs, [A] str objects, None where unknown, from its folder."""
    file = path / TAXONOMY_FILE
    taxa = as_objects([row[1] or None for row in list(_rows_of_tsv(file))[1:]])
    if len(taxa) != n_asvs:
        raise _wrong(file, f"{len(taxa):,} rows for {n_asvs:,} ASVs")
    return taxa


def read_columns(path: Path, columns: Sequence[str], n_samples: int) -> list[np.ndarray]:
    """Read columns of a study's metadata, [B] str objects, None where missing; equal cells share one object.

    Args:
        path: folder of the study.
        columns: their names; of columns that the study lacks, all values are missing.
        n_samples: B.
    """
    file = path / METADATA_FILE
    values = [np.full(n_samples, None, dtype=object) for _ in columns]
    if not file.is_file():
        return values
    rows = _rows_of_tsv(file)
    header = next(rows, [])
    places = [(value, header.index(column)) for value, column in zip(values, columns, strict=True) if column in header]
    known: dict[str, str] = {}
    number = -1
    for number, row in enumerate(rows):
        if number == n_samples:
            break
        for value, place in places:
            value[number] = known.setdefault(row[place], row[place]) or None
    if number != n_samples - 1:
        raise _wrong(file, f"not the rows of {n_samples:,} samples")
    return values


def read_frame(path: Path) -> Frame:
    """Read the frame of a study's reads from its folder."""
    return Frame.from_dict(json.loads((path / FRAME).read_text("utf-8")))


def _wrong(path: Path, problem: str) -> DataError:
    return DataError(problem, code="corpus-damaged", file=path, remedy=_DAMAGED)

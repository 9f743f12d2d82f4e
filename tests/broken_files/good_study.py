"""A small good study, made by hand: every file of it is accepted, and every number in it is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = [f"s{b:02}" for b in range(1, 17)]
_LETTERS = np.random.Generator(np.random.PCG64(7)).choice(list("ACGT"), (20, 40))
FEATURES = sorted("".join(row) for row in _LETTERS)  # the canonical order
# About 12 of 20 features a sample, 60 to 400 reads each.
_READS = np.random.Generator(np.random.PCG64(8)).integers(-220, 400, (16, 20))
COUNTS = np.where(_READS < 60, 0, _READS)
HEADER = ["sample-id", "host", "status", "degree_days", "age"]
ROWS = [
    [name, f"h{b // 2}", "sick" if b // 2 % 2 else "well", f"{100 + 7.5 * b:g}", str(30 + b // 2)]
    for b, name in enumerate(SAMPLES)
]


def write_good_study(folder: Path) -> None:
    """Write table.biom (HDF5), metadata.tsv, tree.nwk, distances.tsv and rep-seqs.fasta."""
    write_hdf5_table(folder / "table.biom")
    (folder / "metadata.tsv").write_text(metadata_text(), encoding="utf-8")
    (folder / "tree.nwk").write_text(tree_text() + "\n", encoding="utf-8")
    (folder / "distances.tsv").write_text(lsmat_text(), encoding="utf-8")
    (folder / "rep-seqs.fasta").write_text(fasta_text(), encoding="utf-8")


def write_hdf5_table(
    path: Path,
    counts: np.ndarray = COUNTS,
    samples: list[str] = SAMPLES,
    features: list[str] = FEATURES,
    **options: Any,
) -> None:
    """BIOM 2.1 after http://biom-format.org/documentation/format_versions/biom-2.1.html; counts [samples, features]."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["id"], file.attrs["type"] = "No Table ID", "OTU table"
        file.attrs["format-url"], file.attrs["format-version"] = "http://biom-format.org", (2, 1)
        file.attrs["generated-by"], file.attrs["creation-date"] = "broken_files", "2024-01-01T00:00:00"
        file.attrs["shape"], file.attrs["nnz"] = counts.T.shape, np.count_nonzero(counts)
        for axis, matrix, ids in (("sample", counts, samples), ("observation", counts.T, features)):
            row, column = np.nonzero(matrix)
            indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(ids)))])
            file.create_dataset(f"{axis}/ids", data=ids, dtype=h5py.string_dtype(), **options)
            for name in ("metadata", "group-metadata"):
                file.create_group(f"{axis}/{name}")
            for name, values in (
                ("data", matrix[row, column].astype(np.float64)),
                ("indices", column.astype(np.int32)),
                ("indptr", indptr.astype(np.int32)),
            ):
                file.create_dataset(f"{axis}/matrix/{name}", data=values, **options)


def json_table() -> dict[str, Any]:
    """BIOM 1.0 after http://biom-format.org/documentation/format_versions/biom-1.0.html, sparse."""
    feature, sample = np.nonzero(COUNTS.T)
    return {
        "id": "None",
        "format": "Biological Observation Matrix 1.0.0",
        "format_url": "http://biom-format.org",
        "type": "OTU table",
        "generated_by": "broken_files",
        "date": "2024-01-01T00:00:00",
        "rows": [{"id": name, "metadata": None} for name in FEATURES],
        "columns": [{"id": name, "metadata": None} for name in SAMPLES],
        "matrix_type": "sparse",
        "matrix_element_type": "int",
        "shape": [len(FEATURES), len(SAMPLES)],
        "data": [[int(k), int(b), int(COUNTS[b, k])] for k, b in zip(feature, sample, strict=True)],
    }


def json_text() -> str:
    """The same as text."""
    return json.dumps(json_table())


def tsv_table() -> str:
    """The classic form of biom-format: one row a feature."""
    lines = ["# Constructed from biom file", "\t".join(["#OTU ID", *SAMPLES])]
    lines += ["\t".join([name, *map(str, COUNTS[:, k])]) for k, name in enumerate(FEATURES)]
    return "\n".join(lines) + "\n"


def metadata_text(header: list[str] = HEADER, rows: list[list[str]] = ROWS) -> str:
    """Tab-separated, as QIIME 2 reads it."""
    return "".join("\t".join(row) + "\n" for row in [header, *rows])


def tree_text() -> str:
    """A balanced tree of all features; each branch has the length 0.01 x the number of tips below it."""
    parts = [(f"{name}:0.01", 1) for name in FEATURES]
    while len(parts) > 1:
        pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
        parts = [
            (f"({','.join(text for text, _ in pair)}):{sum(n for _, n in pair) / 100:g}", sum(n for _, n in pair))
            for pair in pairs
        ]
    return parts[0][0].rsplit(":", 1)[0] + ";"


def distances() -> np.ndarray:
    """Distances of points on a line, [16, 16], 0 to 0.9."""
    place = np.linspace(0, 0.9, len(SAMPLES))
    return np.abs(place[:, None] - place)


def lsmat_text(ids: list[str] = SAMPLES) -> str:
    """The square text of QIIME 2 and scikit-bio."""
    rows = ["\t".join([name, *map(repr, row.tolist())]) for name, row in zip(ids, distances(), strict=True)]
    return "\n".join(["\t".join(["", *ids]), *rows]) + "\n"


def fasta_text() -> str:
    """Every sequence under its own name."""
    return "".join(f">{name}\n{name}\n" for name in FEATURES)

"""Description of the content of a file of a study or of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aam_data.options.files import MetadataOptions
from aam_data.preprocessing.taxonomy import split_lineage
from aam_data.readers.biom.table import read_table
from aam_data.readers.delimited import split_rows
from aam_data.readers.distances.faith_pd import read_faith_pd
from aam_data.readers.distances.matrix import read_distances
from aam_data.readers.fasta import read_sequences
from aam_data.readers.metadata.metadata import read_metadata
from aam_data.readers.newick.tree import read_newick
from aam_data.readers.safe.npy import load_npy
from aam_data.readers.safe.zip import open_zip
from aam_data.readers.source import byte_limit
from aam_data.readers.taxonomy import read_taxonomy
from aam_data.splits.splits import PARTS, read_splits
from aam_data.study.feature_sequences import kind_of_ids
from aam_data.study.sniff import kind_of_file
from aam_models.storage.bounded_text import MAX_SETTINGS, read_bounded_text
from aam_train.errors import TrainError
from aam_train.files import read_json_lines
from aam_train.options.toml import ConfigError, parse_toml
from aam_train.reporting.jsonl import damaged_lines, read_records

Rows = list[tuple[str, str]]
_MAX_COLUMNS, _MAX_CLASSES = 60, 6
_NOTES_OF_THE_OPTION = {"table-whole-numbers", "table-fractions"}  # of --relative-abundance, which nobody passed
MAX_TABLE = 4_000_000_000  # bytes of a table that AAM wrote


def describe_file(path: Path) -> Rows:
    """Return names and values that describe a file, read as a run would read it.

    Raises:
        DataError: its reader rejects it.
        TrainError: not a file that AAM reads or writes.
    """
    kind = _OWN_NAMES.get(path.name) or _OWN_ENDINGS.get(path.suffix) or kind_of_file(path)
    if kind is None or kind not in _DESCRIBERS:
        known = ", ".join(_DESCRIBERS)
        raise TrainError(f"{path}: not a file that AAM knows ({known}), nor a model or run folder")
    return [("file", str(path)), ("content", kind), *_DESCRIBERS[kind](path)]


def _table(path: Path) -> Rows:
    file = read_table(path, relative_abundance=True)
    table = file.table
    depths, richness = table.depths(), table.features_per_sample()
    return [
        ("samples", f"{table.n_samples:,}, such as {_few(table.sample_ids)}"),
        ("features", f"{table.n_features:,}, ids are {kind_of_ids(table.feature_ids)}s: {_few(table.feature_ids)}"),
        ("counts", "reads" if table.is_integer else "relative abundances"),
        ("per sample", f"{_range(depths)} {'reads' if table.is_integer else 'in total'}"),
        ("features per sample", _range(richness)),
        *(("note", note) for note in file.notes if note.code not in _NOTES_OF_THE_OPTION),
    ]


def _metadata(path: Path) -> Rows:
    metadata = read_metadata(path, MetadataOptions())
    rows = [("samples", f"{len(metadata.sample_ids):,}, such as {_few(metadata.sample_ids)}")]
    for column in metadata.columns[:_MAX_COLUMNS]:
        values = [value for value in metadata.text(column) if value is not None]
        text = _classes(values) if not _all_numbers(values) else f"numbers, {_range(np.array(values, dtype=float))}"
        missing = len(metadata.sample_ids) - len(values)
        rows.append((f"column {column}", text + (f"; {missing:,} missing" if missing else "")))
    if len(metadata.columns) > _MAX_COLUMNS:
        rows.append(("columns", f"{len(metadata.columns):,} in total"))
    return [*rows, *(("note", text) for text in metadata.notes)]


def _tree(path: Path) -> Rows:
    tree = read_newick(path, clip_negative_lengths=True)
    return [
        ("tips", f"{tree.n_tips:,}"),
        ("nodes", f"{tree.n_nodes:,}"),
        ("branches of the root", str(tree.root_degree())),
        ("branch lengths", f"{_range(tree.length[1:])}, {tree.length.sum():.6g} in total"),
        *(("note", text) for text in tree.notes),
    ]


def _sequences(path: Path) -> Rows:
    sequences = read_sequences(path)
    lengths = np.array([len(sequence) for sequence in sequences.values()])
    ids = np.array(list(sequences), dtype=object)
    return [("sequences", f"{len(sequences):,}, such as {_few(ids)}"), ("bases", _range(lengths))]


def _taxonomy(path: Path) -> Rows:
    taxonomy = read_taxonomy(path)
    lineages = [split_lineage(taxon) for taxon in taxonomy.taxa]
    rows = [("features", f"{len(lineages):,}, such as {_few(taxonomy.feature_ids)}")]
    for rank in range(max(map(len, lineages), default=0)):
        known = ["; ".join(names[: rank + 1]) for names in lineages if len(names) > rank]
        rows.append((f"rank {rank + 1}", f"{len(set(known)):,} taxa of {len(known):,} features"))
    return rows


def _distances(path: Path) -> Rows:
    matrix = read_distances(path)
    pairs = matrix.values[np.triu_indices(len(matrix.ids), 1)]
    rows = [("samples", f"{len(matrix.ids):,}, such as {_few(matrix.ids)}")]
    return [*rows, ("distances", f"{_range(pairs)}, mean {pairs.mean():.4g}")] if len(pairs) else rows


def _faith_pd(path: Path) -> Rows:
    diversity = read_faith_pd(path)
    return [
        ("samples", f"{len(diversity.ids):,}, such as {_few(diversity.ids)}"),
        ("Faith's PD", _range(diversity.values)),
    ]


def _splits(path: Path) -> Rows:
    splits = read_splits(path)
    parts = [part for part in PARTS if part != "calibration" or splits.calibration]
    return [(part, f"{len(getattr(splits, part)):,} samples") for part in parts]


def _columns(path: Path) -> Rows:
    """Describe the columns of any other table that AAM writes."""
    header, *rows = [
        row.cells for row in split_rows(read_bounded_text(path, MAX_TABLE, through_links=True), "\t", path)
    ]
    described: Rows = [("rows", f"{len(rows):,}, such as {_few(np.array([row[0] for row in rows], dtype=object))}")]
    for number, name in list(enumerate(header))[1:_MAX_COLUMNS]:
        values = [row[number] for row in rows if number < len(row) and row[number]]
        text = f"numbers, {_range(np.array(values, dtype=float))}" if _all_numbers(values) else _classes(values)
        described.append((f"column {name}", text))
    return described


def _arrays(path: Path) -> Rows:
    rows = []
    with open_zip(path, byte_limit(8.0)) as archive:
        for name in archive.names:
            array = load_npy(archive.read(name), path, name)
            rows.append((name.removesuffix(".npy"), f"{array.dtype} {list(array.shape)}"))
    return rows


def _metrics(path: Path) -> Rows:
    records = read_records(path)
    kinds = Counter(record["kind"] for record in records)
    rows = [("records", ", ".join(f"{count:,} {kind}s" for kind, count in kinds.items()) or "none")]
    if records:
        last = records[-1]
        rows.append((f"last {last['kind']}", ", ".join(f"{k} {v}" for k, v in last.items() if k in ("step", "epoch"))))
    return rows


def _starts(path: Path) -> Rows:
    lines = read_json_lines(path)
    rows = [("starts", f"{len(lines):,}")]
    if None in lines:
        rows.append(("note", damaged_lines(lines)))
    if lines and lines[-1] is not None:
        rows.append(("last start", f"from step {lines[-1].get('from_step')}"))
    return rows


def _settings(path: Path) -> Rows:
    try:
        sections = parse_toml(read_bounded_text(path, MAX_SETTINGS, through_links=True))
    except ConfigError as error:
        raise TrainError(f"{path}: {error}") from error
    return [
        (f"{section} {name}", str(value))
        for section, table in sections.items()
        for name, value in (table.items() if isinstance(table, dict) else {"": table}.items())
    ]


_DESCRIBERS: dict[str, Callable[[Path], Rows]] = {
    "feature table": _table,
    "metadata": _metadata,
    "tree": _tree,
    "sequences": _sequences,
    "taxonomy": _taxonomy,
    "distances": _distances,
    "alpha diversity": _faith_pd,
    "splits": _splits,
    "predictions": _columns,
    "importance": _columns,
    "embeddings": _columns,
    "arrays": _arrays,
    "metrics": _metrics,
    "settings": _settings,
    "starts of a run": _starts,
}
_OWN_NAMES = {"starts.jsonl": "starts of a run"}
_OWN_ENDINGS = {".jsonl": "metrics", ".npz": "arrays"}


def _all_numbers(values: list[str]) -> bool:
    try:
        return bool(values) and bool(np.isfinite(np.array(values, dtype=float)).all())
    except ValueError:
        return False


def _classes(values: list[str]) -> str:
    counts = Counter(values)
    shown = ", ".join(f"{name} ({n:,})" for name, n in counts.most_common(_MAX_CLASSES))
    return f"{len(counts):,} values: {shown}{', ...' if len(counts) > _MAX_CLASSES else ''}"


def _range(values: np.ndarray) -> str:
    if len(values) == 0:
        return "none"
    low, middle, high = np.quantile(values, (0, 0.5, 1))
    return f"{low:,.6g} to {high:,.6g}, median {middle:,.6g}"


def _few(ids: np.ndarray) -> str:
    return ", ".join(str(i) if len(str(i)) <= 24 else f"{str(i)[:24]}..." for i in ids[:3])

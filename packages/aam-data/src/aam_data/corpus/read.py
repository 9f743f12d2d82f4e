"""A corpus as one study: counts and sequences stay in their files, metadata are read by column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from aam_data.corpus.dictionary import read_dictionary, read_members
from aam_data.corpus.manifest import MANIFEST, Manifest, StudyFacts, check_sizes, read_manifest
from aam_data.corpus.mapped_rows import MappedRows
from aam_data.corpus.study_files import read_columns, read_sample_ids, read_shard, read_taxa, read_tree
from aam_data.errors import DataError, first_few
from aam_data.notes import Note
from aam_data.options.corpus import STUDY_COLUMN
from aam_data.options.files import MetadataOptions
from aam_data.readers.ids import as_objects
from aam_data.readers.metadata.metadata import Metadata
from aam_data.readers.metadata.missing_values import MissingRule
from aam_data.readers.qiime2 import Provenance
from aam_data.readers.source import sha256_of
from aam_data.readers.taxonomy import Taxonomy
from aam_data.study.forest import Forest
from aam_data.study.study import Study
from aam_data.table import CountTable

_MAX_COLUMNS = 20  # that a message lists


def read_corpus(folder: Path, columns: Sequence[str] = (), *, with_taxonomy: bool = False) -> Study:
    """Open a corpus.

    Files are compared with the manifest by size; `aam_data.corpus.check.check_corpus` reads them to compare digests.

    Args:
        folder: of the corpus.
        columns: metadata columns to read, besides the names of the studies, which are in ``corpus_study``.
        with_taxonomy: whether to read the taxonomy of the ASVs. Where studies differ, the first one counts.

    Returns:
        All samples, study by study, in the order in which these were added. ASVs have their keys as ids.

    Raises:
        DataError: not a corpus, files that are missing or have another size, columns that no study has, or no taxonomy
            where it is asked for.

    Example:
        >>> study = read_corpus(Path("corpus"), ["host"])
        >>> study.table.n_samples
        8231
    """
    manifest = read_manifest(folder)
    if not manifest.studies:
        raise DataError("the corpus has no study", code="corpus-not-found", file=folder, remedy="Use aam corpus add")
    check_sizes(folder, manifest)
    sequences = read_dictionary(folder, manifest)
    members = [read_members(folder, manifest, study) for study in manifest.studies]
    if max(int(each.max(initial=0)) for each in members) >= len(sequences):
        raise DataError("ASVs that the dictionary does not have", code="corpus-damaged", file=folder)
    paths = [folder / study.folder for study in manifest.studies]
    rows = MappedRows(tuple(read_shard(path, own) for path, own in zip(paths, members, strict=True)))
    sample_ids = np.concatenate([read_sample_ids(path) for path in paths])
    if len(sample_ids) != len(rows.indptr) - 1:
        raise DataError("sample ids that are not those of the counts", code="corpus-damaged", file=folder)
    feature_ids = as_objects([f"{key:016x}" for key in sequences.keys.tolist()])
    forest = _forest(manifest, paths, members, rows)
    return Study(
        CountTable(sample_ids, feature_ids, rows),
        sequences,
        _metadata(folder, manifest, columns, sample_ids),
        taxonomy=_taxonomy(folder, manifest, members, feature_ids) if with_taxonomy else None,
        notes=(_note(manifest, sample_ids, forest),),
        inputs=_inputs(folder, manifest),
        forest=forest,
        trimmed_to=_trimming(manifest.studies),
    )


def _inputs(folder: Path, manifest: Manifest) -> tuple[Provenance, ...]:
    """Return the manifest, whose digest covers all files, and the files from which the studies were made."""
    own = Provenance(str(folder / MANIFEST), sha256_of(folder / MANIFEST))
    return (own, *(file for study in manifest.studies for file in study.inputs))


def _trimming(studies: tuple[StudyFacts, ...]) -> int:
    """Return the length to which all studies were trimmed; 0 if they differ."""
    lengths = {study.trim_length for study in studies}
    return lengths.pop() if len(lengths) == 1 else 0


def _forest(manifest: Manifest, paths: list[Path], members: list[np.ndarray], rows: MappedRows) -> Forest:
    of_study = np.full(len(paths), -1, dtype=np.int64)
    with_tree = [number for number, study in enumerate(manifest.studies) if study.has_tree]
    of_study[with_tree] = np.arange(len(with_tree))
    trees = tuple(read_tree(paths[number]) for number in with_tree)
    tree_of = np.repeat(of_study, np.diff(rows.firsts))
    return Forest(trees, tuple(members[number] for number in with_tree), tree_of)


def _metadata(folder: Path, manifest: Manifest, columns: Sequence[str], sample_ids: np.ndarray) -> Metadata:
    import pandas as pd

    wanted = [column for column in dict.fromkeys(columns) if column != STUDY_COLUMN]
    known = dict.fromkeys(column for study in manifest.studies for column in study.columns)
    for column in wanted:
        if column not in known:
            raise DataError(
                f"no study of the corpus has a column {column}",
                code="metadata-column-missing",
                file=folder,
                remedy=f"Columns: {first_few([STUDY_COLUMN, *known], _MAX_COLUMNS)}",
            )
    names = np.array([study.name for study in manifest.studies], dtype=object)
    sizes = [study.samples for study in manifest.studies]
    parts = [read_columns(folder / study.folder, wanted, study.samples) for study in manifest.studies]
    values = {STUDY_COLUMN: np.repeat(names, sizes)}
    values |= {column: np.concatenate([part[i] for part in parts]) for i, column in enumerate(wanted)}
    types: dict[str, Literal["categorical", "numeric"]] = {}
    for study in manifest.studies:
        types |= {
            name: "numeric" if kind == "numeric" else "categorical"
            for name, kind in study.types.items()
            if name in values
        }
    frame = pd.DataFrame(values, index=pd.Index(sample_ids, dtype=object), dtype=object)
    return Metadata(frame, types, folder, MissingRule.from_options(MetadataOptions()))


def _taxonomy(folder: Path, manifest: Manifest, members: list[np.ndarray], feature_ids: np.ndarray) -> Taxonomy:
    taxa = np.full(len(feature_ids), None, dtype=object)
    if not any(study.has_taxonomy for study in manifest.studies):
        raise DataError(
            "no study of the corpus has a taxonomy",
            code="corpus-no-targets",
            file=folder,
            remedy="Omit --taxonomy-weight, or add studies with --taxonomy",
        )
    for study, own in reversed(list(zip(manifest.studies, members, strict=True))):
        if study.has_taxonomy:
            of_study = read_taxa(folder / study.folder, len(own))
            known = np.array([taxon is not None for taxon in of_study], dtype=bool)
            taxa[own[known]] = of_study[known]
    return Taxonomy(feature_ids, taxa, None, folder)


def _note(manifest: Manifest, sample_ids: np.ndarray, forest: Forest) -> Note:
    studies = manifest.studies
    covered = int(np.count_nonzero(forest.tree_of >= 0))
    what = f"corpus of {len(studies):,} {'study' if len(studies) == 1 else 'studies'} with {len(sample_ids):,} samples"
    return Note("corpus-studies", f"{what} and {manifest.asvs:,} ASVs; trees cover {covered:,} of the samples")

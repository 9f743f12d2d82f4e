"""`aam corpus add`: one more study in a corpus, which a reader sees whole or not at all."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from aam_data.checks.frame import frame_report
from aam_data.corpus.arrays import sync_folder
from aam_data.corpus.dictionary import merge, read_dictionary, read_members, write_dictionary
from aam_data.corpus.manifest import MANIFEST, Manifest, StudyFacts, check_name, check_sizes, read_manifest
from aam_data.corpus.study_files import read_frame, read_sample_ids, write_study_files
from aam_data.errors import DataError, first_few
from aam_data.notes import Note
from aam_data.options.corpus import STUDY_COLUMN, CorpusStudyOptions
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions, TaxonomyOptions
from aam_data.readers.ids import as_objects
from aam_data.sequences import Sequences
from aam_data.splits.selection import DEFAULT_MAX_BP
from aam_data.study.frame.fit import fit_frame
from aam_data.study.frame.frame import NATIVE, Frame
from aam_data.study.frame.reads import Reads
from aam_data.study.frame.search import find_placements
from aam_data.study.study import Study, read_study
from aam_data.writers.plain_files import errors_name, sole_writer

_OWN = re.compile(r"(study|dictionary)-\d{4,}|\.manifest\.json\.[0-9a-f]+\.partial.*")
_MIN_FITTING = 0.5  # share of a study's reads that lie where those of the first study do


def add_study(
    folder: Path,
    options: CorpusStudyOptions,
    table: TableOptions,
    metadata: MetadataOptions | None = None,
    taxonomy: TaxonomyOptions | None = None,
) -> tuple[StudyFacts, list[Note]]:
    """Add a study to a corpus, which is made if the folder is absent or empty.

    The files of the study and a new dictionary are written first; then the manifest is replaced, atomically. What an
    interrupted call leaves is removed by the next one. The dictionary of before stays until then, for programs that
    have just read the manifest.

    Args:
        folder: of the corpus.
        options: name of the study, its tree, and whether its samples get new ids.
        table, metadata, taxonomy: its other files.

    Returns:
        What the manifest records about the study, and notes about everything that was dropped, merged or cut.

    Raises:
        DataError: files that cannot be read or do not belong together, a name or ids that the corpus has already, or a
            folder that is no corpus.
    """
    check_name(options.name)
    _check_folder(folder)
    with sole_writer(folder, "FOLDER", overwrite=True):
        before = read_manifest(folder) if (folder / MANIFEST).exists() else Manifest()
        check_sizes(folder, before)
        if options.name in {study.name for study in before.studies}:
            raise DataError(
                f"--name {options.name}: the corpus has a study of this name",
                code="corpus-name",
                file=folder,
                remedy="Choose another name",
            )
        study = read_study(table, metadata, _phylogeny(options), taxonomy)
        if not study.table.is_integer:
            raise DataError(
                "a corpus holds reads, and the table has fractions", code="table-fractions", file=table.path
            )
        sample_ids = _sample_ids(folder, before, study, options)
        _check_columns(study)
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder, before)
        with errors_name(folder):
            return _write(folder, before, study, sample_ids, options.name, table.trim_length)


def _phylogeny(options: CorpusStudyOptions) -> PhylogenyOptions:
    return PhylogenyOptions(
        tree=options.tree,
        missing_tips=options.missing_tips,
        clip_negative_lengths=options.clip_negative_lengths,
    )


def _check_folder(folder: Path) -> None:
    """Raise DataError for a folder with files of others."""
    if (folder / MANIFEST).exists() or not folder.exists():
        return
    if not folder.is_dir():
        raise DataError("a file, where a folder is expected", code="output-not-writable", file=folder)
    if others := sorted(path.name for path in folder.iterdir() if _OWN.fullmatch(path.name) is None):
        raise DataError(
            "neither a corpus nor empty",
            code="corpus-not-found",
            file=folder,
            offenders=others,
            remedy="Choose another folder",
        )


def _sample_ids(folder: Path, before: Manifest, study: Study, options: CorpusStudyOptions) -> np.ndarray:
    """Return the ids of the samples in the corpus; raise DataError if it has some of them."""
    ids = study.table.sample_ids
    if options.prefix_samples:
        ids = as_objects([f"{options.name}/{sample_id}" for sample_id in ids])
    own = set(ids.tolist())
    for other in before.studies:
        if common := sorted(own.intersection(read_sample_ids(folder / other.folder).tolist())):
            raise DataError(
                f"{len(common):,} of {len(ids):,} sample ids are those of samples of study {other.name}",
                code="corpus-ids-repeat",
                file=folder,
                offenders=common,
                remedy="If these are other samples, pass --prefix-samples, which adds the name of the study to the "
                "ids; if they are the same, leave them out of one of the tables",
            )
    return ids


def _check_columns(study: Study) -> None:
    if study.metadata is not None and STUDY_COLUMN in study.metadata.columns:
        raise DataError(
            f"a column is named {STUDY_COLUMN}, which a corpus has for the name of the study",
            code="corpus-column",
            file=study.metadata.path,
            remedy="Rename the column",
        )


def _remove_leftovers(folder: Path, manifest: Manifest) -> None:
    """Remove the folders of interrupted calls and the dictionary of before the last study."""
    kept = manifest.folders()
    for path in folder.iterdir():
        if path.name in kept or _OWN.fullmatch(path.name) is None:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _write(
    folder: Path, before: Manifest, study: Study, sample_ids: np.ndarray, name: str, trim_length: int
) -> tuple[StudyFacts, list[Note]]:
    sequences, table = study.sequences, study.table
    reads = table.reads_per_feature()
    frame = fit_frame(sequences, reads, DEFAULT_MAX_BP)
    where, frame_notes = frame_report(sequences, reads)
    notes = [*study.notes, *frame_notes, *_placement_notes(folder, before, sequences, reads)]
    facts = StudyFacts(
        number=max((each.number for each in before.studies), default=0) + 1,
        name=name,
        samples=table.n_samples,
        asvs=table.n_features,
        reads=int(table.depths().sum()),
        shortest=int(sequences.lengths.min()),
        longest=int(sequences.lengths.max()),
        trim_length=trim_length,
        frame=where,
        types=dict(study.metadata.types) if study.metadata is not None else {},
        columns=study.metadata.columns if study.metadata is not None else [],
        inputs=study.inputs,
        notes=[str(note) for note in notes],
        files={},
    )
    path = _new_folder(folder / facts.folder)
    facts = replace(facts, files=write_study_files(path, study, sample_ids, frame))
    sync_folder(path)
    manifest = _with_dictionary(folder, before, facts, sequences)
    manifest.write(folder)
    sync_folder(folder)
    return facts, notes


def _with_dictionary(folder: Path, before: Manifest, facts: StudyFacts, sequences: Sequences) -> Manifest:
    """Write the dictionary of the corpus with the new study, and return the manifest of both."""
    old = read_dictionary(folder, before) if before.studies else None
    every, of_old, of_new = merge(old, sequences)
    members = {each.members: of_old[read_members(folder, before, each)] for each in before.studies}
    after = Manifest(before.generation + 1, len(every), {}, (*before.studies, facts))
    path = _new_folder(folder / after.dictionary_folder)
    files = write_dictionary(path, every, {**members, facts.members: of_new})
    sync_folder(path)
    return replace(after, dictionary=files)


def _new_folder(path: Path) -> Path:
    path.mkdir()
    return path


def _placement_notes(folder: Path, before: Manifest, sequences: Sequences, reads: np.ndarray) -> list[Note]:
    """Return a warning if most reads do not lie where those of the first study do."""
    if not before.studies:
        return []
    first = before.studies[0]
    frame: Frame = read_frame(folder / first.folder)
    if not frame.is_informative:
        return []
    found = find_placements(Reads(sequences.codes, sequences.lengths, reads / reads.sum()), frame)
    native = sum(share for place, share in zip(found.placements, found.shares, strict=True) if place == NATIVE)
    if native >= _MIN_FITTING * frame.fits:
        return []
    elsewhere = found.fitting - native
    what = f"only {native:.0%} of the reads start where those of study {first.name} do ({frame.describe()})"
    where = f"; {elsewhere:.0%} start elsewhere or are of the other strand" if elsewhere >= _MIN_FITTING else ""
    advice = "an encoder reads positions, so bring the tables to one start first, or make a corpus for each region"
    return [Note("corpus-several-frames", f"{what}{where}: {advice}", "warning")]


def describe_added(facts: StudyFacts) -> str:
    """Return a line about a study that was added."""
    more = [text for text, has in (("tree", facts.has_tree), ("taxonomy", facts.has_taxonomy)) if has]
    more += ["metadata"] if facts.columns else []
    parts = f"{facts.samples:,} samples, {facts.asvs:,} ASVs, {facts.reads:,} reads"
    return f"study {facts.name}: {parts}{'; with ' + first_few(more) if more else ''}"

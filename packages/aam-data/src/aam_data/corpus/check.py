"""`aam corpus check` and `aam corpus show`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from aam_data.corpus.manifest import Manifest, check_file, damaged, read_manifest
from aam_data.errors import Problems
from aam_data.readers.source import sha256_of


def check_corpus(folder: Path) -> Manifest:
    """Compare every file of a corpus with the size and the SHA-256 of the manifest.

    Returns:
        The manifest.

    Raises:
        DataError: all files that are missing or differ, each with its study.
    """
    manifest, problems = read_manifest(folder), Problems()
    for name, files in manifest.folders().items():
        for file, facts in files.items():
            n_before = len(problems.errors)
            problems.collect(check_file, folder, manifest, name, file, facts)
            if len(problems.errors) == n_before and sha256_of(folder / name / file) != facts.sha256:
                problem = "the file was changed or is damaged: its SHA-256 is not the one that was written"
                problems.errors.append(damaged(folder / name / file, manifest, name, problem))
    problems.raise_collected()
    return manifest


def describe_corpus(folder: Path) -> list[tuple[str, str]]:
    """Return names and values that describe a corpus as a whole, in display order."""
    manifest = read_manifest(folder)
    studies = manifest.studies
    return [
        ("corpus", f"{len(studies):,} {'study' if len(studies) == 1 else 'studies'}"),
        ("samples", f"{sum(study.samples for study in studies):,}"),
        ("ASVs", f"{manifest.asvs:,} distinct sequences"),
        ("reads", f"{sum(study.reads for study in studies):,}"),
        *((f"study {study.name}", f"{study.samples:,} samples, {study.asvs:,} ASVs") for study in studies),
    ]


def study_table(manifest: Manifest) -> list[tuple[str, ...]]:
    """Return a header and a row for each study."""
    rows: list[tuple[str, ...]] = [
        ("study", "samples", "ASVs", "reads", "bases", "tree", "taxonomy", "metadata columns", "frame")
    ]
    for study in manifest.studies:
        bases = f"{study.shortest}" if study.shortest == study.longest else f"{study.shortest}-{study.longest}"
        counts = (f"{study.samples:,}", f"{study.asvs:,}", f"{study.reads:,}", bases)
        has = ("yes" if study.has_tree else "no", "yes" if study.has_taxonomy else "no", f"{len(study.columns):,}")
        rows.append((study.name, *counts, *has, study.frame))
    return rows


def corpus_as_json(folder: Path) -> dict[str, object]:
    """Return what the manifest records about the studies, in a form that JSON can store."""
    manifest = read_manifest(folder)
    studies = [{key: value for key, value in asdict(study).items() if key != "files"} for study in manifest.studies]
    return {"asvs": manifest.asvs, "studies": studies}

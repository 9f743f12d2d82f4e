"""Report on the files of a study before a run: their contents, and everything that is wrong with them.

Files are read and samples are selected and split by the same code as in `aam pretrain`, `aam train` and `aam predict`.
Needs no torch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from aam_data.checks.findings import Finding, Report
from aam_data.checks.frame import frame_report
from aam_data.checks.leaks import leak_notes
from aam_data.checks.spellings import spelling_notes
from aam_data.errors import DataError, Problems, first_few
from aam_data.id_matching import Overlap, overlap_of
from aam_data.notes import Note
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions, TaxonomyOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.dataset import SampleDataset, cut_report
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.rarefaction import FIXED_DRAW, Rarefier
from aam_data.readers.metadata.metadata import Metadata
from aam_data.splits.selection import DEFAULT_MAX_BP, default_depth, make_splits, select_samples, small_parts
from aam_data.splits.splits import Splits
from aam_data.study.feature_sequences import kind_of_ids
from aam_data.study.load import LoadedFiles, load_study
from aam_data.study.study import Study, study_from_files
from aam_data.unifrac.pair_targets import MatrixTargets, TreeTargets
from aam_data.unifrac.tree_check import check_by_tree
from aam_data.unifrac.variation import check_targets_vary

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 1.0)
_KINDS = {"sequence": "sequences", "md5": "MD5 hashes", "sha1": "SHA-1 hashes", "opaque": "names"}
MAX_SHOWN_CHARACTERS = 40  # of a value from a file
_LEVELS = ("error", "warning", "note")


def check_study(
    table: TableOptions,
    metadata: MetadataOptions | None = None,
    phylogeny: PhylogenyOptions | None = None,
    sample: SampleOptions | None = None,
    split: SplitOptions | None = None,
    target: TargetOptions | None = None,
    taxonomy: TaxonomyOptions | None = None,
    seed: int = 42,
    folds: int = 0,
) -> Report:
    """Read the files and do with them what a run would do; bad input becomes findings, not exceptions.

    Args:
        table, metadata, phylogeny, taxonomy: the files.
        sample, split, target: the options that a run would have.
        seed: random seed of the splits.
        folds: folds of cross-validation; 0 = one split.
    """
    metadata, phylogeny = metadata or MetadataOptions(), phylogeny or PhylogenyOptions()
    sample, split = sample or SampleOptions(), split or SplitOptions()
    files = load_study(table, metadata, phylogeny, taxonomy)
    problems, notes, facts = files.problems, list(files.notes), _facts(files)

    if files.table is not None and files.sequences is not None:
        frame, frame_notes = frame_report(files.sequences, files.table.reads_per_feature())
        facts.append(("frame", frame))
        notes += frame_notes
    known = files.metadata_file if files.metadata is None else files.metadata
    if known is not None:
        for column in _columns_wanted(target, split):
            problems.collect(known.require, column)
    study = study_from_files(files)
    if study is not None:
        problems.collect(check_by_tree, study, phylogeny)
    has_columns = known is None or files.metadata is not None
    if study is not None and has_columns and not _columns_missing(known, target, split):
        depth = default_depth(
            sample.rarefy_depth,
            with_matrix=phylogeny.unifrac_matrix is not None,
            relative_abundance=table.relative_abundance,
        )
        facts += _sample_facts(study, depth, sample)
        selection = problems.collect(select_samples, study, depth, target)
        used = np.arange(study.table.n_samples) if selection is None else selection.rows
        facts += _column_facts(study, used, target, split)
        notes += spelling_notes(study.metadata, used, target, split)
        if selection is not None:
            notes += selection.notes
            problems.collect(_check_distances, study, selection.rows, depth, seed, phylogeny)
            splits = problems.collect(make_splits, study, selection.rows, split, seed, target, folds)
            groups = None if split.group_column is None else _groups(study, split.group_column)
            split_notes: list[Note] = []
            for number, one in enumerate(splits or [], 1):
                split_notes += small_parts(one)
                split_notes += problems.collect(_try_samples, study, one, sample, depth, seed, target) or []
                facts.append((f"fold {number}" if folds else "split", one.summary(groups)))
                split_notes += leak_notes(study, one, target, split.group_column, depth)
            notes += dict.fromkeys(split_notes)  # notes shared by several folds appear once
    return Report(tuple(facts), _sorted(problems, notes))


def _check_distances(study: Study, rows: np.ndarray, depth: int, seed: int, options: PhylogenyOptions) -> None:
    """Check that distances of the samples ``rows`` can be learned, if there is a tree or a matrix."""
    if study.distances is not None:
        check_targets_vary(MatrixTargets(study.distances, study.table.sample_ids), rows, options)
    elif study.phylogeny is not None:
        rarefier = Rarefier(study.table, depth, seed)
        tree = TreeTargets(study.phylogeny, rarefier, options.pair_metric, options.unifrac_alpha)
        check_targets_vary(tree, rows, options)


def _try_samples(
    study: Study, splits: Splits, sample: SampleOptions, depth: int, seed: int, target: TargetOptions | None
) -> list[Note]:
    """Fit the preprocessing as a run would, and return notes on what it would cut."""
    row_of = {sample_id: row for row, sample_id in enumerate(study.table.sample_ids)}
    rows = np.array([row_of[i] for i in splits.train], dtype=np.int64)
    sample = replace(sample, max_bp=sample.max_bp or DEFAULT_MAX_BP)
    preprocessor = Preprocessor.fit(study, rows, sample, trim_length=0, rarefy_depth=depth, seed=seed, target=target)
    samples = SampleDataset(study, Rarefier(study.table, depth, seed), preprocessor)
    everything = np.array([row_of[i] for i in splits.part_of()], dtype=np.int64)
    text = cut_report(samples, everything, FIXED_DRAW)
    scales = [] if study.metadata is None else preprocessor.describe_scales(study.metadata, everything)
    return [text, *scales] if text else scales


def _columns_wanted(target: TargetOptions | None, split: SplitOptions) -> list[str]:
    of_target = (*target.metadata_column, *target.scale().by) if target else ()
    of_split = (column for column in (split.group_column, split.stratify_column) if column)
    return list(dict.fromkeys([*of_target, *of_split]))


def _columns_missing(known: Metadata | None, target: TargetOptions | None, split: SplitOptions) -> bool:
    wanted = _columns_wanted(target, split)
    return bool(wanted) and (known is None or any(column not in known.columns for column in wanted))


def _sorted(problems: Problems, notes: list[Note]) -> tuple[Finding, ...]:
    errors = {str(error): Finding.from_error(error) for error in problems.errors}  # each one once
    findings = [*errors.values(), *(Finding.from_note(note) for note in notes)]
    return tuple(sorted(findings, key=lambda finding: _LEVELS.index(finding.level)))


def _facts(files: LoadedFiles) -> list[tuple[str, str]]:
    """Describe the files as they are."""
    facts = []
    if files.table_file is not None:
        table, ids = files.table_file, files.table_file.feature_ids
        total = f"{table.depths().sum():,.0f} {'reads' if table.is_integer else '(sum of relative abundances)'}"
        facts.append(("table", f"{table.n_samples:,} samples x {table.n_features:,} features, {total}"))
        facts.append(("feature ids", f"{_KINDS[kind_of_ids(ids)]}, such as {_short(str(ids[0]))}"))
    if files.sequences is not None:
        shortest, longest = int(files.sequences.lengths.min()), int(files.sequences.lengths.max())
        bases = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
        facts.append(("sequences", f"{len(files.sequences):,} ASVs of {bases} bases"))
    if files.metadata_file is not None:
        known = files.metadata_file
        facts.append(("metadata", f"{len(known.sample_ids):,} samples x {len(known.columns):,} columns"))
        if files.table_file is not None:
            overlap = overlap_of(files.table_file.sample_ids, known.sample_ids)
            facts.append(("samples", _overlap(overlap)))
    if files.phylogeny is not None:
        present = np.count_nonzero(files.phylogeny.feature_tip >= 0)
        facts.append(("tree", f"{present:,} of {len(files.phylogeny.feature_tip):,} ASVs are tips"))
    if files.taxonomy is not None:
        known_taxa = sum(taxon is not None for taxon in files.taxonomy.taxa)
        facts.append(("taxonomy", f"{known_taxa:,} of {len(files.taxonomy.taxa):,} ASVs have a taxon"))
    if files.distances is not None:
        values = files.distances.values
        facts.append(
            ("distances", f"{len(values):,} x {len(values):,}, {np.nanmin(values):g} to {np.nanmax(values):g}")
        )
    return facts


def _overlap(overlap: Overlap) -> str:
    text = f"{overlap.both:,} in both table and metadata"
    for ids, whose in ((overlap.only_here, "the table"), (overlap.only_there, "the metadata")):
        if ids:
            text += f"; {len(ids):,} only in {whose} ({first_few(ids, 3)})"
    return text


def _sample_facts(study: Study, depth: int, sample: SampleOptions) -> list[tuple[str, str]]:
    """Describe the samples as a run would see them."""
    depths, richness = study.table.depths(), study.table.features_per_sample()
    facts = [("reads per sample", _quantiles(depths)), ("ASVs per sample", _quantiles(richness))]
    if depth:
        kept = int((depths >= depth).sum())
        facts.append(("rarefaction", f"to {depth:,} reads keeps {kept:,} of {len(depths):,} samples"))
    if (cut := int((richness > sample.max_asvs).sum())) > 0:
        facts.append(("--max-asvs", f"{cut:,} samples have more than {sample.max_asvs:,} ASVs before rarefaction"))
    return facts


def _quantiles(values: np.ndarray) -> str:
    quantiles = np.quantile(values, _QUANTILES, method="lower")
    names = ("min", *(f"{share:.0%}" for share in _QUANTILES[1:-1]), "max")
    return ", ".join(f"{name} {value:,.0f}" for name, value in zip(names, quantiles, strict=True))


def _column_facts(
    study: Study, used: np.ndarray, target: TargetOptions | None, split: SplitOptions
) -> list[tuple[str, str]]:
    """Describe target and groups among the rows ``used`` of the study."""
    facts: list[tuple[str, str]] = []
    if study.metadata is None:
        return facts
    known = study.metadata.take(study.table.sample_ids[used])
    for column in target.metadata_column if target else ():
        text = _classes(known.text(column)) if target is not None and target.classifier else _numbers(known, column)
        if text is not None:
            facts.append((f"target {column}", text))
    if split.group_column is not None:
        sizes = Counter(value for value in known.text(split.group_column) if value is not None)
        text = f"{len(sizes):,} groups"
        if sizes:
            low, high = min(sizes.values()), max(sizes.values())
            text += f" of {low:,} samples" if low == high else f" of {low:,} to {high:,} samples"
        facts.append((f"groups {split.group_column}", f"{text}, among {len(used):,} samples"))
    return facts


def _classes(values: np.ndarray) -> str:
    counts = Counter(value for value in values if value is not None)
    sizes = [f"{name}: {count:,}" for name, count in sorted(counts.items())]
    return f"{len(sizes):,} classes among {counts.total():,} samples ({first_few(sizes, 10)})"


def _numbers(metadata: Metadata, column: str) -> str | None:
    """Describe a numeric column; return None for other columns, which are reported elsewhere."""
    try:
        values = metadata.numeric(column)
    except DataError:
        return None
    present = values[np.isfinite(values)]
    if len(present) == 0:
        return "no sample has a value"
    low, middle, high = np.quantile(present, (0, 0.5, 1))
    return f"{len(present):,} samples, min {low:g}, median {middle:g}, max {high:g}"


def _groups(study: Study, column: str) -> dict[str, str | None]:
    assert study.metadata is not None
    return dict(zip(study.table.sample_ids, study.metadata.text(column), strict=True))


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}..."

"""Files -> what a run trains and judges on: study, splits, preprocessor, batches."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aam_data.config import MetadataOptions, PhylogenyOptions, SplitOptions, TableOptions, TargetOptions
from aam_data.dataset import SampleDataset, cut_report
from aam_data.errors import DataError
from aam_data.labels import check_classes
from aam_data.pair_targets import MatrixTargets, PairTargets, TreeTargets
from aam_data.preprocessor import Preprocessor
from aam_data.rarefaction import Rarefier, deep_enough, shallow_report
from aam_data.readers.metadata import Metadata
from aam_data.splits import Splits, cross_validation, repeated_host_hint, split_samples
from aam_data.study import Study, read_study
from aam_train.collate import Collator
from aam_train.experiment import PretrainConfig, TrainConfig
from aam_train.loading import FIXED_DRAW, BatchMaker
from aam_train.reporting.records import Reporter

DEFAULT_DEPTH = 5000
DEFAULT_MAX_BP = 150


@dataclass(frozen=True, eq=False)
class RunData:
    """One split of one study, ready to train on.

    Attributes:
        rows: int64 rows of the study by part: "train", "validation", "test"; in the order of the sorted ids.
        pairs: true distances, when a tree or a matrix was given.
    """

    study: Study
    splits: Splits
    preprocessor: Preprocessor
    rows: dict[str, np.ndarray]
    maker: BatchMaker
    pairs: PairTargets | None

    def drawn_asvs(self, part: str) -> np.ndarray:
        """ASVs in the fixed draws of a part's samples, int64, ascending."""
        drawn = self.maker.samples.samples(self.rows[part], FIXED_DRAW)
        return np.unique(np.concatenate([sample.asv_rows for sample in drawn])) if drawn else np.zeros(0, np.int64)

    def observed_asvs(self, part: str) -> np.ndarray:
        """ASVs in any draw of a part's samples, int64, ascending."""
        return np.unique(self.study.table.take_counts(self.rows[part]).indices).astype(np.int64)


def read_inputs(table: TableOptions, metadata: MetadataOptions | None, phylogeny: PhylogenyOptions | None) -> Study:
    """The study of a run; what was not given is not read."""
    with_metadata = metadata if metadata is not None and metadata.metadata is not None else None
    targets = phylogeny and (phylogeny.tree or phylogeny.unifrac_matrix)
    return read_study(table, with_metadata, phylogeny if targets else None)


def usable_rows(study: Study, depth: int, target: TargetOptions | None, reporter: Reporter) -> np.ndarray:
    """Rows deep enough to rarefy and, for training, with at least one known target; what is left out is said."""
    usable = deep_enough(study.table, depth)
    if text := shallow_report(study.table, depth):
        reporter.note(text)
    if target is not None:
        known = has_target(study, target)
        if missing := int((usable & ~known).sum()):
            reporter.note(f"{missing:,} samples have no value in {', '.join(target.metadata_column)} and are left out")
        usable &= known
        assert study.metadata is not None
        for text in target_notes(study.metadata, target):
            reporter.note(text)
        if target.classifier:
            column = target.metadata_column[0]
            check_classes(study.metadata.text(column)[usable], column, study.metadata.path)
        if not usable.any():
            raise DataError(
                f"no sample has both a value in {', '.join(target.metadata_column)} and {max(depth, 1):,} reads",
                remedy="Lower --rarefy-depth, or choose another --metadata-column",
            )
    return np.flatnonzero(usable)


def target_notes(metadata: Metadata, target: TargetOptions) -> list[str]:
    """Warnings about target columns that may not be what they seem."""
    notes = []
    for column in target.metadata_column:
        if not target.classifier and metadata.types.get(column) == "categorical":
            declared = f"the metadata declare {column} categorical (#q2:types)"
            notes.append(f"warning: {declared}; --classifier predicts classes")
        if target.classifier and (doubtful := metadata.doubtful(column)):
            words = ", ".join(f"{word!r} ({count:,})" for word, count in doubtful.items())
            notes.append(f"warning: {column} has classes that may mean missing: {words}; --na-value makes them missing")
    return notes


def has_target(study: Study, target: TargetOptions) -> np.ndarray:
    """Whether a sample has a value in any of the target columns, bool [B]."""
    assert study.metadata is not None
    if target.classifier:
        return np.array([value is not None for value in study.metadata.text(target.metadata_column[0])])
    values = [np.isfinite(study.metadata.numeric(column)) for column in target.metadata_column]
    return np.any(values, axis=0)


def make_splits(
    study: Study, rows: np.ndarray, options: SplitOptions, seed: int, target: TargetOptions | None, folds: int = 0
) -> list[Splits]:
    """One split, or one a fold; groups stay together, classes are spread evenly."""
    groups = _column(study, rows, options.group_column)
    classes = _column(study, rows, target.metadata_column[0]) if target is not None and target.classifier else None
    ids = study.table.sample_ids[rows]
    if folds:
        return cross_validation(ids, folds, options.val_size, seed, groups, classes)
    left_out = set(study.table.sample_ids) - set(ids)
    return [split_samples(ids, options, seed, groups, classes, left_out)]


def groups_of(study: Study, options: SplitOptions) -> dict[str, str | None] | None:
    """Group of each sample by id, when there is a group column."""
    everything = np.arange(study.table.n_samples)
    groups = _column(study, everything, options.group_column)
    return None if groups is None else dict(zip(study.table.sample_ids, groups, strict=True))


def build_data(
    config: PretrainConfig | TrainConfig, study: Study, splits: Splits, *, depth: int, max_bp: int, reporter: Reporter
) -> RunData:
    """Fit the preprocessor on the training samples and set up batches."""
    seed = config.run.seed
    row_of = {sample_id: row for row, sample_id in enumerate(study.table.sample_ids)}
    rows = {
        part: np.array([row_of[i] for i in getattr(splits, part)], dtype=np.int64)
        for part in ("train", "validation", "test")
    }
    target = config.target if isinstance(config, TrainConfig) else None
    preprocessor = Preprocessor.fit(
        study,
        rows["train"],
        replace(config.sample, max_bp=max_bp),
        trim_length=config.table.trim_length,
        rarefy_depth=depth,
        seed=seed,
        target=target,
    )
    targets = _targets(study, preprocessor, np.concatenate(list(rows.values())), reporter)
    fixed = study.distances is not None  # the distances of a file belong to one draw at most
    rarefier = Rarefier(study.table, depth, seed, only_draw=FIXED_DRAW if fixed else None)
    if fixed and depth:
        reporter.note(f"--rarefy-depth {depth}: one draw for all epochs, since the distances come from a file")
    maker = build_maker(study, rarefier, preprocessor, config.model.asv_chunk_size, targets)
    everything = np.concatenate(list(rows.values()))
    if text := cut_report(maker.samples, everything, FIXED_DRAW):
        reporter.note(text)
    if (
        config.split.group_column is None
        and study.metadata is not None
        and (hint := repeated_host_hint(study.metadata))
    ):
        reporter.note(f"warning: {hint}")
    return RunData(study, splits, preprocessor, rows, maker, build_pairs(study, rarefier))


def _targets(study: Study, preprocessor: Preprocessor, rows: np.ndarray, reporter: Reporter) -> np.ndarray | None:
    """Targets of all samples, float32 [B, T]; classes that no training sample has count as unknown, which is said."""
    if not preprocessor.targets or study.metadata is None:
        return None
    targets = preprocessor.targets_of(study.metadata, unseen="missing")
    if preprocessor.labels is not None:
        texts = study.metadata.text(preprocessor.targets[0].spec.name)[rows]
        unseen = texts[~np.isfinite(targets[rows, 0]) & np.array([text is not None for text in texts])]
        if len(unseen):
            names = ", ".join(sorted(set(unseen)))
            reporter.note(f"warning: {len(unseen):,} samples are of classes that no training sample has: {names}")
    return targets


def build_maker(
    study: Study,
    rarefier: Rarefier,
    preprocessor: Preprocessor,
    chunk_size: int,
    targets: np.ndarray | None = None,
) -> BatchMaker:
    """Batches of a study as the preprocessor treats it."""
    collator = Collator(
        study, max_bp=preprocessor.max_bp, chunk_size=chunk_size, seed=preprocessor.seed, targets=targets
    )
    return BatchMaker(SampleDataset(study, rarefier, preprocessor), collator)


def build_pairs(study: Study, rarefier: Rarefier) -> PairTargets | None:
    """True distances from the matrix or the tree, whichever was given."""
    if study.distances is not None:
        return MatrixTargets(study.distances, study.table.sample_ids)
    return TreeTargets(study.phylogeny, rarefier) if study.phylogeny is not None else None


def _column(study: Study, rows: np.ndarray, column: str | None) -> np.ndarray | None:
    if column is None:
        return None
    assert study.metadata is not None
    return study.metadata.text(column)[rows]

"""Files -> what a run trains and judges on: study, splits, preprocessor, batches."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aam_data.options.files import PhylogenyOptions
from aam_data.preprocessing.dataset import SampleDataset, cut_report
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.random_keys import Purpose, generator
from aam_data.splits.selection import doubtful_notes, sentinel_notes
from aam_data.splits.splits import PARTS, Splits
from aam_data.study.study import Study
from aam_data.unifrac.pair_targets import MatrixTargets, PairTargets, ScaledTargets, TreeTargets
from aam_train.data.collate import Collator
from aam_train.data.loading import FIXED_DRAW, BatchMaker
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.reporting.records import Reporter

MAX_SAMPLES_IN_PAIRS = 2000  # of more samples a seeded subset is taken


@dataclass(frozen=True, eq=False)
class RunData:
    """One split of one study, ready to train on.

    Attributes:
        rows: int64 rows of the study by part: "train", "validation", "test" and, where there is one, "calibration"; in
            the order of the sorted ids.
        pairs: true distances, when a tree or a matrix was given.
        scales: int64 [B of the study, T] which fitted scale each target of a sample has.
        distance_scale: what true distances were divided by: the largest training distance where a metric has no bound.
    """

    study: Study
    splits: Splits
    preprocessor: Preprocessor
    rows: dict[str, np.ndarray]
    maker: BatchMaker
    pairs: PairTargets | None
    scales: np.ndarray
    distance_scale: float = 1.0

    @property
    def taxonomy_classes(self) -> tuple[int, ...]:
        """Number of taxa at each rank; empty without a taxonomy."""
        return () if self.preprocessor.taxonomy is None else self.preprocessor.taxonomy.widths

    def drawn_asvs(self, part: str) -> np.ndarray:
        """ASVs in the fixed draws of a part's samples, int64, ascending."""
        return self.maker.samples.drawn_asvs(self.rows[part], [FIXED_DRAW])

    def observed_asvs(self, part: str) -> np.ndarray:
        """ASVs in any draw of a part's samples, int64, ascending."""
        return self.study.table.observed_in(self.rows[part])


def build_data(
    config: PretrainConfig | TrainConfig, study: Study, splits: Splits, *, depth: int, max_bp: int, reporter: Reporter
) -> RunData:
    """Fit the preprocessor on the training samples and set up batches."""
    seed = config.run.seed
    row_of = {sample_id: row for row, sample_id in enumerate(study.table.sample_ids)}
    rows = {
        part: np.array([row_of[i] for i in getattr(splits, part)], dtype=np.int64)
        for part in PARTS
        if part != "calibration" or splits.calibration
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
        categories=config.category if isinstance(config, TrainConfig) else None,
        further_columns=config.condition_columns() if isinstance(config, TrainConfig) else (),
    )
    if isinstance(config, TrainConfig) and preprocessor.labels is None:
        losses = config.objective.losses(config.target.metadata_column)
        pairs_of = zip(preprocessor.targets, losses, strict=True)
        targets_ = tuple(target.with_quantiles(loss.outputs()) for target, loss in pairs_of)
        preprocessor = replace(preprocessor, targets=targets_)
    targets = _targets(study, preprocessor, np.concatenate(list(rows.values())), reporter)
    fixed = study.distances is not None  # the distances of a file belong to one draw at most
    rarefier = Rarefier(study.table, depth, seed, only_draw=FIXED_DRAW if fixed else None)
    if fixed and depth:
        reporter.note(f"--rarefy-depth {depth}: one draw for all epochs, since the distances come from a file")
    taxa = None
    if preprocessor.taxonomy is not None:
        assert study.taxonomy is not None
        taxa = preprocessor.taxonomy.encode(study.taxonomy.taxa)
    maker = build_maker(study, rarefier, preprocessor, config.model.asv_chunk_size, targets, taxa, weighted=True)
    everything = np.concatenate(list(rows.values()))
    if preprocessor.inputs:
        reporter.note(f"the model reads {preprocessor.inputs.describe()}")
    for note in input_notes(maker, everything, preprocessor):
        reporter.note(note)
    if preprocessor.loss_weights is not None:
        reporter.note(f"weights of the loss by {preprocessor.loss_weights.describe()}")
    if text := cut_report(maker.samples, everything, FIXED_DRAW):
        reporter.note(text)
    scales = preprocessor.scales_of(study.metadata, study.table.n_samples)
    pairs, scale = build_pairs(study, rarefier, config.phylogeny), 1.0
    if pairs is not None and config.phylogeny.pair_metric == "weighted_unnormalized":
        scale = largest_distance(pairs, rows["train"])
        reporter.note(f"distances are divided by the largest of the training samples, {scale:.4g}")
        pairs = ScaledTargets(pairs, scale)
    return RunData(study, splits, preprocessor, rows, maker, pairs, scales, scale)


def _targets(study: Study, preprocessor: Preprocessor, rows: np.ndarray, reporter: Reporter) -> np.ndarray | None:
    """Targets of all samples, float32 [B, T]; classes that no training sample has count as unknown, which is said."""
    if not preprocessor.targets or study.metadata is None:
        return None
    targets = preprocessor.targets_of(study.metadata, unseen="missing")
    for text in preprocessor.describe_scales(study.metadata, rows):
        reporter.note(text)
    if preprocessor.labels is not None:
        texts = study.metadata.text(preprocessor.targets[0].spec.name)[rows]
        unseen = texts[~np.isfinite(targets[rows, 0]) & np.array([text is not None for text in texts])]
        if len(unseen):
            names = ", ".join(sorted(set(unseen)))
            reporter.note(f"warning: {len(unseen):,} samples are of classes that no training sample has: {names}")
    return targets


def input_notes(maker: BatchMaker, rows: np.ndarray, preprocessor: Preprocessor) -> list[str]:
    """Sentences about the metadata of the samples ``rows`` that the model reads."""
    study = maker.samples.study
    if not preprocessor.inputs or study.metadata is None:
        return []
    metadata, inputs = study.metadata.take(study.table.sample_ids[rows]), preprocessor.inputs
    notes = [*inputs.apply(metadata).notes]
    for column in inputs.categories.columns:
        notes += doubtful_notes(metadata, column, "categories")
    for column in inputs.covariates.columns:
        notes += sentinel_notes(metadata, column)
    return notes


def build_maker(
    study: Study,
    rarefier: Rarefier,
    preprocessor: Preprocessor,
    chunk_size: int,
    targets: np.ndarray | None = None,
    taxa: np.ndarray | None = None,
    *,
    weighted: bool = False,
) -> BatchMaker:
    """Batches of a study as the preprocessor treats it.

    Args:
        weighted: whether losses are computed, whose weights by category are then looked up.
    """
    metadata, weights = study.metadata, preprocessor.loss_weights
    collator = Collator(
        study,
        max_bp=preprocessor.max_bp,
        chunk_size=chunk_size,
        seed=preprocessor.seed,
        targets=targets,
        taxa=taxa,
        inputs=preprocessor.inputs.apply(metadata) if preprocessor.inputs and metadata is not None else None,
        sample_weights=weights.apply(metadata) if weighted and weights and metadata is not None else None,
    )
    return BatchMaker(SampleDataset(study, rarefier, preprocessor), collator)


def build_pairs(study: Study, rarefier: Rarefier, options: PhylogenyOptions) -> PairTargets | None:
    """True distances from the matrix or the tree, whichever was given."""
    if study.distances is not None:
        return MatrixTargets(study.distances, study.table.sample_ids)
    if study.phylogeny is None:
        return None
    return TreeTargets(study.phylogeny, rarefier, options.pair_metric, options.unifrac_alpha)


def largest_distance(pairs: PairTargets, rows: np.ndarray) -> float:
    """The largest distance of samples (of a seeded subset of many), fixed draw; 1 where none has any."""
    chosen = rows[sample_for_pairs(len(rows))]
    distances = pairs.pairs(chosen, chosen, FIXED_DRAW)
    return float(np.nanmax(distances, initial=0.0)) or 1.0


def sample_for_pairs(n_samples: int) -> np.ndarray:
    """Which of so many samples make pairs: all, or the same random subset every time; int64, ascending."""
    if n_samples <= MAX_SAMPLES_IN_PAIRS:
        return np.arange(n_samples)
    random = generator(0, Purpose.CALIBRATION, n_samples)
    return np.sort(random.choice(n_samples, MAX_SAMPLES_IN_PAIRS, replace=False))

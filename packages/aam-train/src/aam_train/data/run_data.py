"""The data of a run: study, splits, preprocessor, batches and true distances."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aam_data.notes import Note
from aam_data.options.corpus import STUDY_COLUMN
from aam_data.options.files import PhylogenyOptions
from aam_data.preprocessing.dataset import SampleDataset, cut_report
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.random_keys import Purpose, generator
from aam_data.splits.selection import doubtful_notes, missing_code_notes
from aam_data.splits.splits import PARTS, Splits
from aam_data.study.study import Study
from aam_data.unifrac.pair_targets import ForestTargets, MatrixTargets, PairTargets, ScaledTargets, TreeTargets
from aam_data.unifrac.tree_check import check_by_tree
from aam_data.unifrac.variation import check_parts_covered, check_targets_vary
from aam_train.data.collate import Collator
from aam_train.data.loading import FIXED_DRAW, BatchMaker, epoch_order
from aam_train.data.study_sampling import StudySampler
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.reporting.records import Reporter

MAX_SAMPLES_IN_PAIRS = 2000  # above this, a seeded subset is used


@dataclass(frozen=True, eq=False)
class RunData:
    """One split of one study, ready for training.

    Attributes:
        rows: int64 rows of the study by part: "train", "validation", "test" and, where there is one, "calibration"; in
            the order of the sorted ids.
        maker: makes the batches.
        pairs: true distances, if there is a tree or a matrix.
        scales: int64 [B of the study, T], index of the fitted scale of each target of a sample.
        sampler: draws the samples of an epoch where studies have other shares; None for all samples.
        distance_scale: divisor of true distances: the largest training distance if the metric is unbounded, else 1.
    """

    study: Study
    splits: Splits
    preprocessor: Preprocessor
    rows: dict[str, np.ndarray]
    maker: BatchMaker
    pairs: PairTargets | None
    scales: np.ndarray
    distance_scale: float = 1.0
    sampler: StudySampler | None = None

    def order(self, epoch: int) -> np.ndarray:
        """Return the training samples of an epoch in the order in which its steps use them."""
        if self.sampler is not None:
            return self.sampler.order(epoch)
        return epoch_order(self.rows["train"], self.preprocessor.seed, epoch)

    def with_targets(self, part: str) -> np.ndarray:
        """Return those of a part's samples that can have distances: of a corpus, those that a tree covers."""
        forest = self.study.forest
        return self.rows[part] if forest is None else forest.covered(self.rows[part])

    @property
    def taxonomy_classes(self) -> tuple[int, ...]:
        """Number of taxa at each rank; empty without a taxonomy."""
        return () if self.preprocessor.taxonomy is None else self.preprocessor.taxonomy.widths

    def drawn_asvs(self, part: str) -> np.ndarray:
        """Return the ASVs in the fixed draws of a part's samples, int64, ascending."""
        return self.maker.samples.drawn_asvs(self.rows[part], [FIXED_DRAW])

    def observed_asvs(self, part: str) -> np.ndarray:
        """Return the ASVs in any draw of a part's samples, int64, ascending."""
        return self.study.table.observed_in(self.rows[part])


def build_data(
    config: PretrainConfig | TrainConfig, study: Study, splits: Splits, *, depth: int, max_bp: int, reporter: Reporter
) -> RunData:
    """Fit the preprocessor on the training samples and set up batches.

    Args:
        depth: of rarefaction; 0 = none.
        max_bp: number of bases of each sequence that the model reads.
        reporter: receives notes about the data.
    """
    row_of = {sample_id: row for row, sample_id in enumerate(study.table.sample_ids)}
    rows = {
        part: np.array([row_of[i] for i in getattr(splits, part)], dtype=np.int64)
        for part in PARTS
        if part != "calibration" or splits.calibration
    }
    preprocessor = _fit_preprocessor(config, study, rows["train"], depth=depth, max_bp=max_bp)
    all_rows = np.concatenate(list(rows.values()))
    targets = _targets(study, preprocessor, all_rows, reporter)
    fixed = study.distances is not None  # distances from a file belong to one draw at most
    rarefier = Rarefier(study.table, depth, config.run.seed, only_draw=FIXED_DRAW if fixed else None)
    if fixed and depth:
        reporter.note(f"--rarefy-depth {depth}: one draw for all epochs, since the distances come from a file")
    taxa = None
    if preprocessor.taxonomy is not None:
        assert study.taxonomy is not None
        taxa = preprocessor.taxonomy.encode(study.taxonomy.taxa)
    maker = build_maker(study, rarefier, preprocessor, config.model.asv_chunk_size, targets, taxa, weighted=True)
    _note_inputs(maker, all_rows, preprocessor, reporter)
    scales = preprocessor.scales_of(study.metadata, study.table.n_samples)
    pairs, scale = _pairs(config, study, rarefier, rows), 1.0
    if pairs is not None:
        check_targets_vary(pairs, rows["train"], config.phylogeny)
    if pairs is not None and config.phylogeny.pair_metric == "weighted_unnormalized":
        scale = largest_distance(pairs, rows["train"])
        reporter.note(f"dividing distances by the largest of the training samples, {scale:.4g}")
        pairs = ScaledTargets(pairs, scale)
    sampler = _sampler(config, study, rows["train"])
    return RunData(study, splits, preprocessor, rows, maker, pairs, scales, scale, sampler)


def _pairs(
    config: PretrainConfig | TrainConfig, study: Study, rarefier: Rarefier, rows: dict[str, np.ndarray]
) -> PairTargets | None:
    """Return true distances, see `build_pairs`; of a corpus only if they are learned, since trees may cover little."""
    if study.forest is not None:
        weights = config.weights()
        if not (weights["unifrac"] or weights["faith_pd"]):
            return None
        check_parts_covered(study.forest, rows)
    return build_pairs(study, rarefier, config.phylogeny)


def _sampler(config: PretrainConfig | TrainConfig, study: Study, rows: np.ndarray) -> StudySampler | None:
    if not isinstance(config, PretrainConfig) or config.corpus.study_temperature == 1:
        return None
    assert study.metadata is not None
    names = study.metadata.text(STUDY_COLUMN)[rows]
    return StudySampler(rows, names, config.corpus.study_temperature, config.run.seed)


def _fit_preprocessor(
    config: PretrainConfig | TrainConfig, study: Study, train_rows: np.ndarray, *, depth: int, max_bp: int
) -> Preprocessor:
    training = config if isinstance(config, TrainConfig) else None
    preprocessor = Preprocessor.fit(
        study,
        train_rows,
        replace(config.sample, max_bp=max_bp),
        trim_length=config.table.trim_length if study.trimmed_to is None else study.trimmed_to,
        rarefy_depth=depth,
        seed=config.run.seed,
        target=training.target if training else None,
        categories=training.category if training else None,
        extra_columns=training.condition_columns() if training else (),
    )
    if training is None or preprocessor.labels is not None:
        return preprocessor
    losses = training.objective.losses(training.target.metadata_column)
    targets_and_losses = zip(preprocessor.targets, losses, strict=True)
    targets = [target.with_quantiles(loss.outputs()) for target, loss in targets_and_losses]
    if training.link.bounded_targets:
        assert study.metadata is not None
        targets = [target.with_bounds(study.metadata, train_rows) for target in targets]
    return replace(preprocessor, targets=tuple(targets))


def _note_inputs(maker: BatchMaker, rows: np.ndarray, preprocessor: Preprocessor, reporter: Reporter) -> None:
    """Log the metadata that the model reads, the weights of the loss, and what the limits on samples cut off."""
    if preprocessor.inputs:
        reporter.note(f"the model reads {preprocessor.inputs.describe()}")
    for note in input_notes(maker, rows, preprocessor):
        reporter.note(note)
    if preprocessor.loss_weights is not None:
        reporter.note(f"weights of the loss by {preprocessor.loss_weights.describe()}")
    if text := cut_report(maker.samples, rows, FIXED_DRAW):
        reporter.note(text)


def _targets(study: Study, preprocessor: Preprocessor, rows: np.ndarray, reporter: Reporter) -> np.ndarray | None:
    """Return all samples' targets, float32 [B, T]; classes without training samples become missing, with a warning."""
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
            reporter.note(f"warning: {len(unseen):,} samples have classes that no training sample has: {names}")
    return targets


def input_notes(maker: BatchMaker, rows: np.ndarray, preprocessor: Preprocessor) -> list[Note]:
    """Return notes about the metadata of the samples ``rows`` that the model reads."""
    study = maker.samples.study
    if not preprocessor.inputs or study.metadata is None:
        return []
    metadata, inputs = study.metadata.take(study.table.sample_ids[rows]), preprocessor.inputs
    notes = [*inputs.apply(metadata).notes]
    for column in inputs.categories.columns:
        notes += doubtful_notes(metadata, column, "categories")
    for column in inputs.covariates.columns:
        notes += missing_code_notes(metadata, column)
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
    """Build the batch maker of a study.

    Args:
        chunk_size: maximum ASVs encoded at once; 0 = all.
        targets: float32 [B, T] in transformed units, NaN = missing.
        taxa: int64 [A, R], -1 = unknown.
        weighted: whether to look up loss weights by category; only needed to compute losses.
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
    """Return true distances from the matrix, checked by the tree if there is one, or the tree; None without either."""
    if study.distances is not None:
        check_by_tree(study, options)
        return MatrixTargets(study.distances, study.table.sample_ids)
    if study.forest is not None:
        return ForestTargets(study.forest, rarefier, options.pair_metric, options.unifrac_alpha)
    if study.phylogeny is None:
        return None
    return TreeTargets(study.phylogeny, rarefier, options.pair_metric, options.unifrac_alpha)


def largest_distance(pairs: PairTargets, rows: np.ndarray) -> float:
    """Return the largest distance of samples (of a seeded subset if there are many), fixed draw; 1 if there is none."""
    chosen = rows[sample_for_pairs(len(rows))]
    distances = pairs.pairs(chosen, chosen, FIXED_DRAW)
    return float(np.nanmax(distances, initial=0.0)) or 1.0


def sample_for_pairs(n_samples: int) -> np.ndarray:
    """Choose the samples that form pairs: all, or a subset that only depends on their number; int64, ascending."""
    if n_samples <= MAX_SAMPLES_IN_PAIRS:
        return np.arange(n_samples)
    random = generator(0, Purpose.CALIBRATION, n_samples)
    return np.sort(random.choice(n_samples, MAX_SAMPLES_IN_PAIRS, replace=False))

"""The whole settings of one program: sections of options, and the rules that cross sections."""

from __future__ import annotations

from dataclasses import dataclass

from aam_data.options.base import PhylogeneticTarget, require
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions, TaxonomyOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.targets import TargetOptions
from aam_models.config.conditioning import ConditioningOptions
from aam_models.config.encoder import ModelOptions
from aam_models.config.predictor import HeadOptions, OutputOptions
from aam_train.options.compute import ComputeOptions
from aam_train.options.cross_checks import check_columns, check_needed
from aam_train.options.memory import MemoryOptions
from aam_train.options.objective import MaskingOptions, PretrainObjective, TrainObjective
from aam_train.options.optimizer import CategoryOptimizerOptions, OptimizerOptions
from aam_train.options.parallel import ParallelOptions
from aam_train.options.run import (
    BaselineOptions,
    DemoOptions,
    EmbedOptions,
    EvaluateOptions,
    PredictOptions,
    RunOptions,
    TransferOptions,
)


def _check_splits(split: SplitOptions, metadata: MetadataOptions) -> None:
    for flag, column in (("--group-column", split.group_column), ("--stratify-column", split.stratify_column)):
        require(
            column is None or metadata.metadata is not None,
            f"{flag} is a column of --metadata: give --metadata too",
        )


def _check_plateau(optimizer: OptimizerOptions, split: SplitOptions) -> None:
    require(
        optimizer.scheduler != "plateau" or split.val_size > 0 or split.val_samples is not None,
        "--scheduler plateau follows the validation metric: give a --val-size above 0",
    )


def _check_parallel(parallel: ParallelOptions, compute: ComputeOptions) -> None:
    require(
        not (parallel.fsdp and compute.mixed_precision == "fp16"),
        "--fsdp and --mixed-precision fp16 exclude each other: its loss scale is not kept for divided gradients. Give "
        "bf16 or none",
    )


def _check_batches(run: RunOptions, memory: MemoryOptions) -> None:
    require(
        not memory.auto_batch_size or run.batch_size == RunOptions.batch_size,
        f"--batch-size {run.batch_size} and --auto-batch-size exclude each other: the size is given or found",
    )
    require(
        memory.target_effective_batch_size is None or run.gradient_accumulation_steps == 1,
        "--gradient-accumulation-steps and --target-effective-batch-size exclude each other: the latter makes as many "
        "micro-batches as it takes",
    )


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of `aam pretrain`."""

    table: TableOptions
    run: RunOptions
    phylogeny: PhylogenyOptions = PhylogenyOptions()
    metadata: MetadataOptions = MetadataOptions()
    sample: SampleOptions = SampleOptions()
    split: SplitOptions = SplitOptions()
    model: ModelOptions = ModelOptions()
    objective: PretrainObjective = PretrainObjective()
    masking: MaskingOptions = MaskingOptions()
    taxonomy: TaxonomyOptions = TaxonomyOptions()
    optimizer: OptimizerOptions = OptimizerOptions()
    compute: ComputeOptions = ComputeOptions()
    memory: MemoryOptions = MemoryOptions()
    parallel: ParallelOptions = ParallelOptions()

    def __post_init__(self) -> None:
        _check_splits(self.split, self.metadata)
        self.table.check_depth(self.sample.rarefy_depth)
        _check_parallel(self.parallel, self.compute)
        _check_batches(self.run, self.memory)
        objective, metric = self.objective, self.phylogeny.unifrac_metric
        require(
            objective.unifrac_weight == 0 or _has_targets(self.phylogeny),
            "--tree (or --unifrac-matrix) is needed for the phylogenetic objective; --unifrac-weight 0 switches it off",
        )
        require(
            self.run.batch_size > 1 or objective.unifrac_weight == 0 or metric == "faith_pd",
            "--batch-size 1 has no pair of samples for the UniFrac objective: give 2 or more, or --unifrac-weight 0",
        )
        require(
            not objective.taxonomy_weight or self.taxonomy.taxonomy is not None,
            "--taxonomy-weight above 0 needs --taxonomy",
        )
        require(
            objective.unifrac_weight
            + objective.masked_base_weight
            + objective.masked_count_weight
            + self.taxonomy_weight()
            > 0,
            "--unifrac-weight, --masked-base-weight and --masked-count-weight are all 0: nothing is left to learn",
        )
        _check_plateau(self.optimizer, self.split)
        computed = {
            "unifrac": objective.unifrac_weight > 0 and metric != "faith_pd",
            "faith_pd": objective.unifrac_weight > 0 and metric in ("faith_pd", "combined"),
            "nucleotide": objective.masked_base_weight > 0,
            "count": objective.masked_count_weight > 0,
            "taxonomy": self.taxonomy_weight() > 0,
        }
        wanted = objective.best_metric.rpartition("_")[0]
        require(
            objective.best_metric == "val_loss" or computed[wanted],
            f"--best-metric {objective.best_metric}: this run does not compute it, since it does not learn it",
        )

    @property
    def best_metric(self) -> str:
        """The validation metric that decides which checkpoint is best."""
        return self.objective.best_metric

    @property
    def categorical_lr(self) -> None:
        """No learning rate of its own for metadata: an encoder reads none."""
        return

    def weights(self) -> dict[str, float]:
        """Return the weight of each objective by its name."""
        return {
            **phylogenetic_weights(self.phylogeny.unifrac_metric, self.objective.unifrac_weight),
            "nucleotides": self.objective.masked_base_weight,
            "counts": self.objective.masked_count_weight,
            "taxonomy": self.taxonomy_weight(),
        }

    def taxonomy_weight(self) -> float:
        """Weight of the taxonomy objective: as given, else 1 with a taxonomy."""
        if self.objective.taxonomy_weight is not None:
            return self.objective.taxonomy_weight
        return 1.0 if self.taxonomy.taxonomy is not None else 0.0


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `aam train`."""

    table: TableOptions
    metadata: MetadataOptions
    target: TargetOptions
    run: RunOptions
    transfer: TransferOptions = TransferOptions()
    phylogeny: PhylogenyOptions = PhylogenyOptions()
    sample: SampleOptions = SampleOptions()
    split: SplitOptions = SplitOptions()
    model: ModelOptions = ModelOptions()
    category: CategoryOptions = CategoryOptions()
    conditioning: ConditioningOptions = ConditioningOptions()
    head: HeadOptions = HeadOptions()
    link: OutputOptions = OutputOptions()
    objective: TrainObjective = TrainObjective()
    masking: MaskingOptions = MaskingOptions()
    optimizer: OptimizerOptions = OptimizerOptions()
    category_optimizer: CategoryOptimizerOptions = CategoryOptimizerOptions()
    compute: ComputeOptions = ComputeOptions()
    memory: MemoryOptions = MemoryOptions()
    parallel: ParallelOptions = ParallelOptions()

    def __post_init__(self) -> None:
        require(self.metadata.metadata is not None, "--metadata: name the file that has the column to predict")
        _check_splits(self.split, self.metadata)
        self.table.check_depth(self.sample.rarefy_depth)
        _check_parallel(self.parallel, self.compute)
        _check_batches(self.run, self.memory)
        require(
            not self.objective.unifrac_weight or _has_targets(self.phylogeny),
            "--unifrac-weight above 0 needs --tree or --unifrac-matrix",
        )
        require(
            not (self.transfer.freeze_base and self.pair_weight() > 0),
            "--unifrac-weight above 0 and --freeze-base exclude each other: a frozen encoder cannot learn distances "
            "(leave out --tree and --unifrac-matrix, or give --unifrac-weight 0)",
        )
        auxiliary = {
            "--masked-base-weight": self.objective.masked_base_weight,
            "--masked-count-weight": self.objective.count_weight(),
        }
        for flag, weight in auxiliary.items():
            require(
                not (self.transfer.freeze_base and weight > 0),
                f"{flag} above 0 and --freeze-base exclude each other: a frozen encoder learns nothing",
            )
        _check_plateau(self.optimizer, self.split)
        require(
            not (self.transfer.cv and self.run.resume_from not in (None, "auto")),
            "--cv continues all its folds: give --resume-from auto",
        )
        require(
            not (self.transfer.cv and self.split.splits_from),
            "--cv makes its own splits: leave out --splits-from",
        )
        require(
            not (self.transfer.cv and self.split.train_samples),
            "--cv makes its own splits: leave out --train-samples and --val-samples",
        )
        self._check_targets()
        check_columns(self.category, self.head, self.link, self.target, self.split)
        rate = self.category_optimizer.categorical_lr
        check_needed(self.category, self.conditioning, rate, (*self.category.categories(), *self.head.columns()))
        metric, classifier = self.transfer.best_metric, self.target.classifier
        require(
            metric == "val_loss" or classifier == (metric not in ("r2", "mae")),
            f"--best-metric {metric} does not fit: r2 and mae are for numbers; accuracy, balanced_accuracy, f1 and "
            "auc go with --classifier",
        )

    def condition_columns(self) -> tuple[str, ...]:
        """Categorical columns that the model reads, whether they are fused or a part of the head names them."""
        named = (*self.head.columns(), *self.link.scaling_columns())
        return tuple(dict.fromkeys((*self.category.categories(), *named)))

    def _check_targets(self) -> None:
        """Losses and outputs that fit the kind of target."""
        objective, output, columns = self.objective, self.link, self.target.metadata_column
        if self.target.classifier:
            for flag in (*objective.given(), *output.given()):
                require(False, f"{flag} and --classifier exclude each other: it is about numbers, not classes")
            return
        require(
            objective.class_weights is None,
            f"--class-weights {objective.class_weights} is about classes: give --classifier too",
        )
        require(
            output.output_activation == "none" or not self.target.scale().by,
            f"--output-activation {output.output_activation} and --normalize-by exclude each other: what is 0 in the "
            "column's units is another number in each category",
        )
        if objective.losses_are_known():
            objective.losses(columns)

    @property
    def best_metric(self) -> str:
        """The validation metric that decides which checkpoint is best."""
        return self.transfer.best_metric

    @property
    def categorical_lr(self) -> float | None:
        """The learning rate of what reads metadata; None for that of the rest."""
        return self.category_optimizer.categorical_lr

    def weights(self) -> dict[str, float]:
        """Return the weight of each objective of the encoder by its name."""
        return {
            **phylogenetic_weights(self.phylogeny.unifrac_metric, self.pair_weight()),
            "nucleotides": self.objective.masked_base_weight,
            "counts": self.objective.count_weight(),
        }

    def pair_weight(self) -> float:
        """Weight of the UniFrac objective: as given, else 1 where there are targets."""
        if self.objective.unifrac_weight is not None:
            return self.objective.unifrac_weight
        return 1.0 if _has_targets(self.phylogeny) else 0.0


@dataclass(frozen=True)
class PredictConfig:
    """Settings of `aam predict`."""

    table: TableOptions
    predict: PredictOptions
    metadata: MetadataOptions = MetadataOptions()


@dataclass(frozen=True)
class EmbedConfig:
    """Settings of `aam embed`."""

    table: TableOptions
    embed: EmbedOptions


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of `aam evaluate`."""

    table: TableOptions
    evaluate: EvaluateOptions
    metadata: MetadataOptions = MetadataOptions()
    phylogeny: PhylogenyOptions = PhylogenyOptions()


@dataclass(frozen=True)
class BaselineConfig:
    """Settings of `aam rf-baseline`."""

    table: TableOptions
    metadata: MetadataOptions
    baseline: BaselineOptions
    split: SplitOptions = SplitOptions()

    def __post_init__(self) -> None:
        require(self.metadata.metadata is not None, "--metadata: name the file that has the column to predict")
        _check_splits(self.split, self.metadata)
        self.table.check_depth(self.baseline.rarefy_depth)
        self.target()

    def target(self) -> TargetOptions:
        """The target; raises ValueError as `aam train` would."""
        options = self.baseline
        return TargetOptions(options.metadata_column, options.classifier, None if options.classifier else "none")


@dataclass(frozen=True)
class DemoConfig:
    """Settings of `aam demo`."""

    demo: DemoOptions


def _has_targets(phylogeny: PhylogenyOptions) -> bool:
    return phylogeny.tree is not None or phylogeny.unifrac_matrix is not None


def phylogenetic_weights(metric: PhylogeneticTarget, weight: float) -> dict[str, float]:
    """Return the weights of distances and of Faith's PD: of one of them, or of both."""
    return {
        "unifrac": 0.0 if metric == "faith_pd" else weight,
        "faith_pd": weight if metric in ("faith_pd", "combined") else 0.0,
    }

"""Root configuration of each command: its sections of options, and the checks across sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from aam_data.options.alias import Required
from aam_data.options.base import require
from aam_data.options.corpus import CorpusOptions
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions, TaxonomyOptions
from aam_data.options.frame import FrameOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.targets import TargetOptions
from aam_models.config.conditioning import ConditioningOptions
from aam_models.config.encoder import ModelOptions
from aam_models.config.predictor_options import HeadOptions, OutputOptions
from aam_train.options.commands import BaselineOptions, DemoOptions, EmbedOptions, EvaluateOptions, PredictOptions
from aam_train.options.compute import ComputeOptions
from aam_train.options.cross_checks import (
    check_batches,
    check_columns,
    check_corpus,
    check_cross_validation,
    check_needed,
    check_pairs,
    check_parallel,
    check_plateau,
    check_probe,
    check_probe_losses,
    check_splits,
    gradient_option,
)
from aam_train.options.losses import LossSettings, has_closed_form
from aam_train.options.memory import MemoryOptions
from aam_train.options.metrics import METRICS, metric_names
from aam_train.options.objective import MaskingOptions, PretrainObjective, TrainObjective, phylogenetic_weights
from aam_train.options.optimizer import CategoryOptimizerOptions, OptimizerOptions
from aam_train.options.parallel import ParallelOptions
from aam_train.options.run import RunOptions, TransferOptions


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
    corpus: CorpusOptions = CorpusOptions()

    def __post_init__(self) -> None:
        check_corpus(self.corpus, self.table, self.metadata, self.phylogeny, self.taxonomy, self.sample)
        check_splits(self.split, self.metadata, self.corpus)
        self.table.check_depth(self.sample.rarefy_depth)
        check_parallel(self.parallel, self.compute)
        check_batches(self.run, self.memory)
        objective = self.objective
        require(
            objective.unifrac_weight == 0 or _has_targets(self.phylogeny) or self.corpus.corpus is not None,
            "--tree (or --unifrac-matrix) is needed for the phylogenetic objective. Use --unifrac-weight 0 without one",
        )
        check_pairs(self.run, self.weights()["unifrac"])
        require(
            not objective.taxonomy_weight or self.taxonomy.taxonomy is not None or self.corpus.corpus is not None,
            "--taxonomy-weight above 0 needs --taxonomy",
        )
        weights = self.weights()
        require(
            any(weight > 0 for weight in weights.values()),
            "All objectives have weight 0, so there is nothing to learn. Raise --unifrac-weight, --masked-base-weight, "
            "--masked-count-weight or --taxonomy-weight",
        )
        check_plateau(self.optimizer, self.split)
        best = METRICS[objective.best_metric]
        require(
            best.kind == "loss" or weights[best.objective] > 0,
            f"--best-metric {objective.best_metric}: this run does not compute it, since its objective has weight 0",
        )

    @property
    def best_metric(self) -> str:
        """The validation metric that selects the best checkpoint."""
        return self.objective.best_metric

    @property
    def categorical_lr(self) -> None:
        """None: an encoder reads no metadata, so it has no separate learning rate for them."""
        return

    def weights(self) -> dict[str, float]:
        """Return the weight of each objective by its name."""
        has_taxonomy = self.taxonomy.taxonomy is not None
        return self.objective.weights(self.phylogeny.unifrac_metric, has_taxonomy=has_taxonomy)


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `aam train`."""

    table: Annotated[TableOptions, Required("table")]
    metadata: Annotated[MetadataOptions, Required("metadata")]
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
    frame: FrameOptions = FrameOptions()

    def __post_init__(self) -> None:
        require(self.metadata.metadata is not None, "--metadata: pass the file that has the column to predict")
        check_splits(self.split, self.metadata)
        self.table.check_depth(self.sample.rarefy_depth)
        check_parallel(self.parallel, self.compute)
        check_batches(self.run, self.memory)
        if self.is_probe:
            check_probe(self._gradient_option())
        require(
            not self.objective.unifrac_weight or _has_targets(self.phylogeny),
            "--unifrac-weight above 0 needs --tree or --unifrac-matrix",
        )
        require(
            not (self.transfer.freeze_base and self.pair_weight() > 0),
            "--unifrac-weight above 0 and --freeze-base cannot be combined: a frozen encoder cannot learn distances. "
            "Omit --tree and --unifrac-matrix, or use --unifrac-weight 0",
        )
        check_pairs(self.run, self.weights()["unifrac"])
        auxiliary = {
            "--masked-base-weight": self.objective.masked_base_weight,
            "--masked-count-weight": self.objective.count_weight(),
        }
        for flag, weight in auxiliary.items():
            require(
                not (self.transfer.freeze_base and weight > 0),
                f"{flag} above 0 and --freeze-base cannot be combined: a frozen encoder learns nothing",
            )
        check_plateau(self.optimizer, self.split)
        require(
            self.frame.frame == "auto" or self.transfer.pretrained_encoder is not None,
            "--frame ignore only applies with --pretrained-encoder: without one, the table sets the frame",
        )
        check_cross_validation(self.transfer, self.run, self.split, self.phylogeny, self.target)
        self._check_targets()
        check_columns(self.category, self.head, self.link, self.target, self.split)
        rate = self.category_optimizer.categorical_lr
        check_needed(self.category, self.conditioning, rate, (*self.category.categories(), *self.head.columns()))
        metric, classifier = self.transfer.best_metric, self.target.classifier
        known = metric_names("loss", "class" if classifier else "number")
        require(
            metric in known,
            f"--best-metric {metric} only applies {'without' if classifier else 'with'} --classifier. Use one of "
            f"{', '.join(known)}",
        )

    @property
    def is_probe(self) -> bool:
        """Return whether the head is fitted in closed form."""
        if self.transfer.adaptation == "auto":
            return self.steps_because() is None
        return self.transfer.adaptation == "probe"

    def steps_because(self) -> str | None:
        """Return the option for which `--adaptation auto` trains by steps; None if nothing needs them."""
        if (option := self._gradient_option()) is not None:
            return option
        if self.target.classifier:
            return None
        if self.objective.loss_config is not None:
            return "--loss-config"
        return None if has_closed_form(self.objective.loss_type) else f"--loss-type {self.objective.loss_type}"

    def _gradient_option(self) -> str | None:
        return gradient_option(self, has_encoder=self.transfer.pretrained_encoder is not None)

    def condition_columns(self) -> tuple[str, ...]:
        """Return the categorical columns that the model reads, in the fusion, the head or the output link."""
        named = (*self.head.columns(), *self.link.scaling_columns())
        return tuple(dict.fromkeys((*self.category.categories(), *named)))

    def _check_targets(self) -> None:
        """Raise ValueError for losses and outputs that do not fit the kind of target."""
        objective, output = self.objective, self.link
        if self.target.classifier:
            for flag in (*objective.given(), *output.given()):
                require(False, f"{flag} and --classifier cannot be combined: it is for numbers, not classes")
            return
        require(
            objective.class_weights is None,
            f"--class-weights {objective.class_weights} only applies with --classifier",
        )
        require(
            output.output_activation == "none" or not self.target.scale().by,
            f"--output-activation {output.output_activation} and --normalize-by cannot be combined: 0 in the "
            "column's units becomes a different number in each category",
        )
        if objective.losses_are_known():
            self.losses()

    def losses(self) -> tuple[LossSettings, ...]:
        """Return the loss settings of each numeric target; read --loss-config if it is a file.

        Raises:
            ValueError: options that contradict each other or the columns.
        """
        columns = self.target.metadata_column
        settings = self.objective.losses(columns)
        if self.is_probe:
            check_probe_losses(settings, columns)
        return settings

    @property
    def best_metric(self) -> str:
        """The validation metric that selects the best checkpoint."""
        return self.transfer.best_metric

    @property
    def categorical_lr(self) -> float | None:
        """The learning rate of the parts that read metadata; None for ``--lr``."""
        return self.category_optimizer.categorical_lr

    def weights(self) -> dict[str, float]:
        """Return the weight of each objective of the encoder by its name."""
        return {
            **phylogenetic_weights(self.phylogeny.unifrac_metric, self.pair_weight()),
            "nucleotides": self.objective.masked_base_weight,
            "counts": self.objective.count_weight(),
        }

    def pair_weight(self) -> float:
        """Return the weight of the UniFrac objective: as given, else 1 if there is a tree or a matrix."""
        if self.is_probe:
            return 0.0
        if self.objective.unifrac_weight is not None:
            return self.objective.unifrac_weight
        return 1.0 if _has_targets(self.phylogeny) else 0.0


@dataclass(frozen=True)
class PredictConfig:
    """Settings of `aam predict`."""

    table: Annotated[TableOptions, Required("table")]
    predict: PredictOptions
    metadata: MetadataOptions = MetadataOptions()
    frame: FrameOptions = FrameOptions()


@dataclass(frozen=True)
class EmbedConfig:
    """Settings of `aam embed`."""

    table: Annotated[TableOptions, Required("table")]
    embed: EmbedOptions
    frame: FrameOptions = FrameOptions()


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of `aam evaluate`."""

    table: Annotated[TableOptions, Required("table")]
    evaluate: EvaluateOptions
    metadata: MetadataOptions = MetadataOptions()
    phylogeny: PhylogenyOptions = PhylogenyOptions()
    frame: FrameOptions = FrameOptions()


@dataclass(frozen=True)
class BaselineConfig:
    """Settings of `aam rf-baseline`."""

    table: Annotated[TableOptions, Required("table")]
    metadata: Annotated[MetadataOptions, Required("metadata")]
    baseline: BaselineOptions
    split: SplitOptions = SplitOptions()

    def __post_init__(self) -> None:
        require(self.metadata.metadata is not None, "--metadata: pass the file that has the column to predict")
        check_splits(self.split, self.metadata)
        self.table.check_depth(self.baseline.rarefy_depth)
        require(
            bool(self.baseline.metadata_column) or self.split.splits_from is not None,
            "missing --metadata-column: name the column to predict",
        )
        if self.baseline.metadata_column:
            self.target()

    def target(self) -> TargetOptions:
        """Return the target; raise ValueError as `aam train` would."""
        return TargetOptions(self.baseline.metadata_column, self.baseline.classifier)


@dataclass(frozen=True)
class DemoConfig:
    """Settings of `aam demo`."""

    demo: DemoOptions


def _has_targets(phylogeny: PhylogenyOptions) -> bool:
    return phylogeny.tree is not None or phylogeny.unifrac_matrix is not None

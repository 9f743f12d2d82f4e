"""Checks of options from several sections. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from aam_data.options.base import require
from aam_data.options.corpus import CorpusOptions
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions, TaxonomyOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_data.options.samples import SampleOptions, SplitOptions
from aam_data.options.targets import TargetOptions
from aam_models.config.conditioning import ConditioningOptions
from aam_models.config.predictor_options import HeadOptions, OutputOptions
from aam_train.options.baselines import is_named
from aam_train.options.compute import ComputeOptions
from aam_train.options.losses import LossSettings, has_closed_form
from aam_train.options.memory import MemoryOptions
from aam_train.options.optimizer import OptimizerOptions
from aam_train.options.parallel import ParallelOptions
from aam_train.options.run import RunOptions, TransferOptions

# Options of `aam train` that only gradients have, by section; all options of _PROBE_SECTIONS are.
_PROBE_FIELDS = {
    "transfer": ("freeze_base", "best_metric"),
    "run": ("epochs", "patience", "gradient_accumulation_steps"),
    "category": ("categorical_hierarchy",),
    "conditioning": tuple(field.name for field in fields(ConditioningOptions)),
    "objective": ("unifrac_weight", "masked_base_weight", "masked_count_weight", "target_weight", "huber_delta"),
    "compute": ("compile_model", "gradient_checkpointing", "memory_profile", "profile"),
}
_PROBE_SECTIONS = ("head", "link", "optimizer", "category_optimizer", "memory", "masking")
_ENCODER_SIZES = (
    "preset",
    "embedding_dim",
    "attention_heads",
    "attention_layers",
    "count_embedding",
    "count_embedding_method",
    "bases_per_token",
)


def check_columns(
    category: CategoryOptions, head: HeadOptions, output: OutputOptions, target: TargetOptions, split: SplitOptions
) -> None:
    """Raise ValueError for input columns that are the target, or whose values are new by construction."""
    for flag, columns in (
        ("--categorical-columns", category.categories()),
        ("--numeric-columns", category.numbers()),
        *head.columns_by_flag().items(),
        ("--conditional-output-scaling", output.scaling_columns()),
    ):
        for name in columns:
            require(
                name not in target.metadata_column,
                f"{flag} {name}: this column is the target (--metadata-column), and the model would copy it. Omit it",
            )
            require(
                name != split.group_column,
                f"{flag} {name}: this is the --group-column, so validation and test samples have values that no "
                "training sample has. Use the column in one of the two",
            )


def check_needed(
    category: CategoryOptions,
    conditioning: ConditioningOptions,
    categorical_lr: float | None,
    embedded: tuple[str, ...],
) -> None:
    """Raise ValueError for options that would have no effect.

    Args:
        embedded: categorical columns that the fusion or the head reads as embeddings.
    """
    fused, default = bool(category.categories() or category.numbers()), ConditioningOptions()
    require(
        fused or conditioning.categorical_fusion == default.categorical_fusion,
        f"--categorical-fusion {conditioning.categorical_fusion} has nothing to fuse. Pass --categorical-columns or "
        "--numeric-columns",
    )
    require(
        bool(embedded) or conditioning.categorical_embed_dim == default.categorical_embed_dim,
        f"--categorical-embed-dim {conditioning.categorical_embed_dim} has nothing to embed. Pass "
        "--categorical-columns",
    )
    require(
        fused or bool(embedded) or categorical_lr is None,
        f"--categorical-lr {categorical_lr} has nothing to train. Pass --categorical-columns or --numeric-columns",
    )


def check_corpus(
    corpus: CorpusOptions,
    table: TableOptions,
    metadata: MetadataOptions,
    phylogeny: PhylogenyOptions,
    taxonomy: TaxonomyOptions,
    sample: SampleOptions,
) -> None:
    """Raise ValueError unless there is either a table or a corpus, without files or settings of a table."""
    if corpus.corpus is None:
        require(table.table is not None, "missing --table (or --corpus, a folder of aam corpus add)")
        return
    of_targets = ("unifrac_metric", "unifrac_alpha")
    for section in (table, metadata, phylogeny, taxonomy):
        for field in fields(section):
            require(
                getattr(section, field.name) == field.default or field.name in of_targets,
                f"--{field.name.replace('_', '-')} and --corpus cannot be combined: files are read by aam corpus "
                "add, with options of its own",
            )
    require(
        sample.asv_sampling != "first",
        "--asv-sampling first and --corpus cannot be combined: its ASVs have no order of a file. Use abundance or "
        "random",
    )


def check_splits(split: SplitOptions, metadata: MetadataOptions, corpus: CorpusOptions | None = None) -> None:
    """Raise ValueError for columns of splits without a metadata file or a corpus."""
    if corpus is not None and corpus.corpus is not None:
        return
    for flag, column in (("--group-column", split.group_column), ("--stratify-column", split.stratify_column)):
        require(
            column is None or metadata.metadata is not None,
            f"{flag} is a column of --metadata. Pass --metadata too",
        )


def check_cross_validation(
    transfer: TransferOptions, run: RunOptions, split: SplitOptions, phylogeny: PhylogenyOptions, target: TargetOptions
) -> None:
    """Raise ValueError for options that --cv, --cv-by, --ensemble and --baselines contradict."""
    flag = transfer.cross_validation
    require(
        transfer.cv_by not in target.metadata_column,
        f"--cv-by {transfer.cv_by}: this column is the target (--metadata-column), so the samples to learn from would "
        "never have the values that are held out. Use another column, or --cv",
    )
    is_whole = run.resume_from in (None, "auto")
    require(not flag or is_whole, f"{flag} resumes all its folds. Use --resume-from auto")
    require(not transfer.ensemble or is_whole, "--ensemble resumes all its members. Use --resume-from auto")
    require(not flag or not split.splits_from, f"{flag} makes its own splits. Omit --splits-from")
    require(not flag or not split.train_samples, f"{flag} makes its own splits. Omit --train-samples and --val-samples")
    require(
        not is_named(transfer.baselines, "unifrac_kernel")
        or phylogeny.tree is not None
        or phylogeny.unifrac_matrix is not None,
        f"--baselines {transfer.baselines}: unifrac_kernel needs --tree or --unifrac-matrix",
    )


def check_plateau(optimizer: OptimizerOptions, split: SplitOptions) -> None:
    """Raise ValueError for a plateau schedule without validation samples."""
    require(
        optimizer.scheduler != "plateau" or split.val_size > 0 or split.val_samples is not None,
        "--scheduler plateau needs validation samples. Use a --val-size above 0",
    )


def check_parallel(parallel: ParallelOptions, compute: ComputeOptions) -> None:
    """Raise ValueError for fp16 with sharded gradients."""
    require(
        not (parallel.fsdp and compute.mixed_precision == "fp16"),
        "--fsdp and --mixed-precision fp16 cannot be combined: loss scaling does not support sharded gradients. Use "
        "bf16 or none",
    )


def check_pairs(run: RunOptions, unifrac_weight: float) -> None:
    """Raise ValueError for batches without a pair of samples."""
    require(
        run.batch_size > 1 or unifrac_weight == 0,
        "--batch-size 1 has no pair of samples for the UniFrac objective. Use 2 or more, or --unifrac-weight 0",
    )


def check_batches(run: RunOptions, memory: MemoryOptions) -> None:
    """Raise ValueError for two options that determine the same number of samples."""
    require(
        not memory.auto_batch_size or run.batch_size == RunOptions.batch_size,
        f"--batch-size {run.batch_size} and --auto-batch-size cannot be combined; use one of them",
    )
    require(
        memory.target_effective_batch_size is None or run.gradient_accumulation_steps == 1,
        "--gradient-accumulation-steps and --target-effective-batch-size cannot be combined: the latter determines the "
        "number of micro-batches",
    )


def gradient_option(config: object, *, has_encoder: bool) -> str | None:
    """Return the first option, by its flag, that differs from its default and that only training by steps has.

    Args:
        config: settings of `aam train`.
        has_encoder: whether there is a pretrained encoder, whose size other options may repeat.
    """
    sections = {**_PROBE_FIELDS, **dict.fromkeys(_PROBE_SECTIONS), **({} if has_encoder else {"model": _ENCODER_SIZES})}
    for section, names in sections.items():
        options = getattr(config, section)
        for field in fields(options):
            if (names is None or field.name in names) and getattr(options, field.name) != field.default:
                return f"--{field.name.replace('_', '-')}"
    return None


def check_probe(option: str | None) -> None:
    """Raise ValueError for an option, by its flag, that only training by steps has."""
    require(
        option is None,
        f"{option} has no effect on --adaptation probe, whose head is fitted in closed form. Omit it, or use "
        "--adaptation fine-tune",
    )


def check_probe_losses(settings: Sequence[LossSettings], columns: Sequence[str]) -> None:
    """Raise ValueError for losses that have no closed form."""
    for column, each in zip(columns, settings, strict=True):
        require(
            has_closed_form(each.type),
            f"the loss {each.type} of {column} has no closed form: --adaptation probe knows "
            "huber, mse and quantile. Use one of them, or --adaptation fine-tune",
        )

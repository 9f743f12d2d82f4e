"""Other accepted spellings of options and of their values. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Alias:
    """Older spellings of an option, declared next to its field.

    They work on the command line, where the help does not list them, and as keys of TOML files.

    Example:
        >>> from dataclasses import dataclass
        >>> from typing import Annotated
        >>> @dataclass(frozen=True)
        ... class SampleOptions:
        ...     max_asvs: Annotated[int, Alias("token_limit")] = 1024
    """

    def __init__(self, *names: str) -> None:
        self.names = names


class Required:
    """Options without which a command cannot run, though their section has defaults; declared next to the section.

    Example:
        >>> @dataclass(frozen=True)
        ... class TrainConfig:
        ...     metadata: Annotated[MetadataOptions, Required("metadata")]
    """

    def __init__(self, *names: str) -> None:
        self.names = names


# What the field and common libraries call the values of options, written with _ for blanks and hyphens. A word may
# belong to several options: it means the first of its values that the option has.
_WORDS: dict[str, tuple[str, ...]] = {
    # metrics of UniFrac; QIIME 2 and scikit-bio mean the unnormalized one by weighted_unifrac
    "unifrac": ("unweighted", "unweighted_unifrac"),
    "weighted": (
        "weighted_normalized", "normalized_weighted", "weighted_normalized_unifrac", "normalized_weighted_unifrac",
        "weighted_unifrac_normalized",
    ),
    "weighted_unnormalized": (
        "weighted_unifrac", "unnormalized_weighted", "weighted_unnormalized_unifrac", "unnormalized_weighted_unifrac",
    ),
    "generalized": ("generalized_unifrac", "generalised", "generalised_unifrac"),
    "faith_pd": ("faith", "faithpd", "faiths_pd", "faith's_pd", "pd", "phylogenetic_diversity"),
    # transforms of targets
    "minmax": ("min_max", "min_max_scaling"),
    "zscore": ("z_score", "standard", "standardize", "standardise", "standardized"),
    "zscore-category": ("z_score_category",),
    "log-minmax": ("log_min_max",),
    "log-zscore": ("log_z_score",),
    "none": ("no", "off", "identity", "linear", "fp32", "float32"),
    # metrics
    "val_loss": ("loss", "validation_loss"),
    "r2": ("r_squared", "r^2", "r²", "r2_score", "coefficient_of_determination"),
    "mae": ("mean_absolute_error", "l1", "l1_loss", "absolute_error"),
    "accuracy": ("acc", "accuracy_score"),
    "balanced_accuracy": ("balanced_acc", "bacc", "balanced_accuracy_score"),
    "f1": ("f1_score", "f1_macro", "macro_f1"),
    "auc": ("roc_auc", "auroc", "auc_roc", "roc_auc_score"),
    # losses
    "mse": ("l2", "l2_loss", "mse_loss", "mean_squared_error", "squared_error"),
    "huber": ("huber_loss", "smooth_l1", "smooth_l1_loss"),
    "quantile": ("pinball", "pinball_loss", "quantile_loss"),
    # optimizers, schedules and precision
    "adamw": ("adam_w",),
    "warmup_cosine": ("cosine_warmup", "cosine_with_warmup"),
    "cosine": ("cosine_annealing", "cosineannealinglr"),
    "cosine_restarts": (
        "cosine_with_restarts", "cosine_annealing_warm_restarts", "cosineannealingwarmrestarts", "sgdr",
    ),
    "plateau": ("reduce_on_plateau", "reduce_lr_on_plateau", "reducelronplateau"),
    "onecycle": ("one_cycle", "one_cycle_lr", "onecyclelr"),
    "fp16": ("float16", "half", "16"),
    "bf16": ("bfloat16",),
    "flash": ("flash_attention", "flash_attention_2"),
    "mem_efficient": ("memory_efficient", "efficient"),
    "math": ("eager",),
    # the others
    "auto": ("balanced",),
    "concat": ("concatenate", "concatenation"),
    "add": ("sum", "addition"),
    "cross-attention": ("crossattention", "cross_attn"),
    "abundance": ("most_abundant", "abundant"),
    "sample": ("samples",),
    "asv": ("asvs", "feature", "features"),
    "train": ("training",),
    "validation": ("val",),
    "test": ("held_out",),
    "error": ("fail", "raise"),
    "ignore": ("drop", "skip"),
    "drop": ("ignore", "skip"),
}  # fmt: skip


def choice_of(value: str, choices: Sequence[str]) -> str | None:
    """Return the one of ``choices`` that a value means in any case, with - or _, or by another name of it; else None.

    Example:
        >>> choice_of("Unweighted-UniFrac", ["unifrac", "weighted"])
        'unifrac'
    """
    word = _folded(value)
    by_spelling = {_folded(choice): choice for choice in choices}
    meant = (choice for choice in choices if word in _WORDS.get(choice, ()))
    return by_spelling.get(word) or next(meant, None)


def _folded(value: str) -> str:
    return "_".join(value.strip().lower().replace("-", " ").replace("_", " ").split())


# Names that other programs and people give to options; messages about an unknown option suggest ours.
_OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "metadata_column": (
        "target",
        "targets",
        "column",
        "columns",
        "label",
        "labels",
        "outcome",
        "response",
        "phenotype",
    ),
    "group_column": ("group", "groups", "group_by", "subject", "subject_column", "host", "host_column"),
    "table": ("biom", "feature_table", "otu_table", "asv_table", "counts", "input", "i_table"),
    "metadata": ("map", "mapping", "mapping_file", "metadata_file", "meta", "m_metadata_file"),
    "sequences": ("rep_seqs", "representative_sequences", "fasta", "seqs"),
    "tree": ("phylogeny", "newick", "i_phylogeny", "rooted_tree"),
    "unifrac_matrix": ("matrix", "distances", "distance_matrix"),
    "unifrac_metric": ("metric", "distance"),
    "rarefy_depth": ("depth", "sampling_depth", "rarefaction_depth", "rarefy", "p_sampling_depth"),
    "output_dir": ("output", "out", "outdir", "out_dir", "o"),
    "output": ("output_dir", "out", "output_file", "o"),
    "pretrained_encoder": ("encoder", "pretrained", "pretrained_model"),
    "model": ("checkpoint", "model_path", "model_dir"),
    "classifier": ("classification", "classify", "categorical"),
    "categorical_columns": ("categories", "category_columns", "covariates"),
    "lr": ("learning_rate",),
    "epochs": ("num_epochs", "n_epochs", "max_epochs"),
    "seed": ("random_seed", "random_state"),
    "cv": ("folds", "k_folds", "kfold", "cross_validation"),
    "num_workers": ("threads", "jobs", "n_jobs", "cpus", "cores"),
    "device": ("gpu", "cuda"),
    "test_size": ("test_fraction", "test_split"),
    "val_size": ("val_fraction", "validation_size", "validation_split"),
    "max_asvs": ("max_tokens", "max_features"),
    "max_bp": ("max_length", "max_sequence_length"),
    "trim_length": ("trim", "trunc_len"),
    "loss_type": ("loss",),
}


def option_called(name: str, options: Iterable[str]) -> str | None:
    """Return the one of ``options`` (with _) for which others say ``name``; None if there is none."""
    word = _folded(name.lstrip("-"))
    return next((option for option in options if word in _OTHER_NAMES.get(option, ())), None)

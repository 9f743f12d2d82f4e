"""Checks of the options of `aam train --adaptation probe`. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from aam_data.options.base import require
from aam_models.config.conditioning import ConditioningOptions
from aam_train.options.losses import LossSettings

_LOSSES = ("huber", "mse", "quantile")  # the default, what ridge regression minimizes, and intervals around it
# Options of gradients by section; all options of the sections in _SECTIONS are.
_FIELDS = {
    "transfer": ("freeze_base", "best_metric"),
    "run": ("epochs", "patience", "gradient_accumulation_steps"),
    "conditioning": tuple(field.name for field in fields(ConditioningOptions)),
    "objective": ("unifrac_weight", "masked_base_weight", "masked_count_weight", "target_weight", "huber_delta"),
    "compute": ("compile_model", "gradient_checkpointing", "memory_profile", "profile"),
}
_SECTIONS = ("head", "link", "optimizer", "category_optimizer", "memory", "masking")
_SIZES = ("preset", "embedding_dim", "attention_heads", "attention_layers", "count_embedding", "count_embedding_method")


def check_probe(config: object, *, has_encoder: bool) -> None:
    """Raise ValueError for options that only training with gradients has, if they do not have their defaults.

    Args:
        config: settings of `aam train`.
        has_encoder: whether there is a pretrained encoder, whose size other options may repeat.
    """
    sections = {**_FIELDS, **dict.fromkeys(_SECTIONS), **({} if has_encoder else {"model": _SIZES})}
    for section, names in sections.items():
        options = getattr(config, section)
        for field in fields(options):
            if (names is None or field.name in names) and getattr(options, field.name) != field.default:
                require(
                    False,
                    f"--{field.name.replace('_', '-')} has no effect on --adaptation probe, whose head is fitted in "
                    "closed form. Omit it, or use --adaptation fine-tune",
                )


def check_probe_losses(settings: Sequence[LossSettings], columns: Sequence[str]) -> None:
    """Raise ValueError for losses that have no closed form."""
    for column, each in zip(columns, settings, strict=True):
        require(
            each.type in _LOSSES,
            f"the loss {each.type} of {column} has no closed form: --adaptation probe knows {', '.join(_LOSSES)}. Use "
            "one of them, or --adaptation fine-tune",
        )

"""One declaration per option: every option is a config field, every config field is an option, each with its help."""

from __future__ import annotations

import dataclasses
import importlib
import math
from typing import get_args, get_origin

import click
import pytest
import tomli_w

from aam_cli.command import ConfigCommand
from aam_cli.commands import COMMANDS
from aam_cli.main import cli
from aam_cli.options import ConfigOption, click_type, field_help, heading
from aam_train.options.toml import (
    ConfigError,
    config_fields,
    config_from_toml,
    config_to_toml,
    flag,
    values_from_toml,
)

PROGRAM = {"--categorical-help", "--config", "--quiet", "--verbose", "--debug", "--help", "--help-all"}
DEPRECATED = {"--no-sequence-cache", "--sync-batchnorm"}  # hidden, in the help of nothing
CONFIGS = (
    "aam_data.options.metadata_inputs",
    "aam_data.options.files",
    "aam_data.options.frame",
    "aam_data.options.samples",
    "aam_data.options.commands",
    "aam_data.options.corpus",
    "aam_data.options.targets",
    "aam_data.options.simulate",
    "aam_models.config.conditioning",
    "aam_models.config.encoder",
    "aam_models.config.predictor_options",
    "aam_train.options.compute",
    "aam_train.options.run",
    "aam_train.options.recipe_configs",
    "aam_train.options.objective",
    "aam_train.options.optimizer",
    "aam_train.options.parallel",
    "aam_cli.config",
)


def commands() -> dict[str, ConfigCommand]:
    """All commands with a config, also those of groups such as `aam corpus`."""
    found = {name: cli.get_command(click.Context(cli), name) for name in COMMANDS}
    groups = {name: group for name, group in found.items() if isinstance(group, click.Group)}
    found |= {f"{name} {each}": command for name, group in groups.items() for each, command in group.commands.items()}
    return {name: command for name, command in found.items() if isinstance(command, ConfigCommand)}


def section_classes() -> set[type]:
    """Every section of options: the dataclasses named ...Options or ...Objective in the config modules."""
    return {
        value
        for module in CONFIGS
        for value in vars(importlib.import_module(module)).values()
        if isinstance(value, type)
        and dataclasses.is_dataclass(value)
        and value.__name__.endswith(("Options", "Objective"))
    }


@pytest.mark.parametrize("name", commands())
def test_options_of_a_command_are_its_config_fields(name: str) -> None:
    command = commands()[name]
    fields = config_fields(command.root_class)
    options = [param for param in command.get_params(click.Context(command)) if isinstance(param, click.Option)]
    aliases = {flag(alias): field for field in fields.values() for alias in field.aliases}
    assert all(option.hidden == (option.opts[0] in aliases.keys() | DEPRECATED) for option in options)
    assert aliases.keys() <= {option.opts[0] for option in options}
    own = {option.opts[0]: option for option in options if option.opts[0] not in PROGRAM | DEPRECATED | aliases.keys()}
    assert list(own) == [field.flag for field in fields.values()]
    for field in fields.values():
        option = own[field.flag]
        assert isinstance(option, ConfigOption)
        assert option.name == field.name
        assert option.required == field.required
        assert (option.secondary_opts != []) == (field.kind is bool)


def test_every_options_class_is_reachable_from_a_command() -> None:
    used = {field.owner for command in commands().values() for field in config_fields(command.root_class).values()}
    assert section_classes() - used == set()


def test_every_field_has_a_help_text_and_a_type_that_options_know() -> None:
    for owner in section_classes():
        assert heading(owner) != owner.__name__, f"{owner} has no docstring"
        texts = field_help(owner)
        for field in dataclasses.fields(owner):
            assert field.default_factory is dataclasses.MISSING
            assert field.name in texts, f"{owner.__name__}.{field.name} has no docstring"
            assert texts[field.name].endswith("."), f"{owner.__name__}.{field.name}"
    for command in commands().values():
        for field in config_fields(command.root_class).values():
            if field.kind is not bool:
                click_type(field.kind)


def test_an_option_is_declared_once() -> None:
    """Commands share sections: a name in two of them has two defaults and two help texts, which needs a reason."""
    owners: dict[str, set[type]] = {}
    for command in commands().values():
        for field in config_fields(command.root_class).values():
            owners.setdefault(field.name, set()).add(field.owner)
    assert {name for name, found in owners.items() if len(found) > 1} == set(DECLARED_TWICE)


def test_older_names_stay_accepted() -> None:
    """Scripts and the config.toml of older runs use them."""
    aliases = {
        alias: field.name
        for command in commands().values()
        for field in config_fields(command.root_class).values()
        for alias in field.aliases
    }
    assert aliases == {
        "token_limit": "max_asvs",
        "penalty": "unifrac_weight",
        "nuc_penalty": "masked_base_weight",
        "count_penalty": "masked_count_weight",
        "taxonomy_penalty": "taxonomy_weight",
        "target_penalty": "target_weight",
    }
    text = "[objective]\npenalty = 0.5\nnuc_penalty = 2\n[sample]\ntoken_limit = 7"
    for name in ("pretrain", "train"):
        values = values_from_toml(text, commands()[name].root_class)
        assert values == {"unifrac_weight": 0.5, "masked_base_weight": 2.0, "max_asvs": 7}


NUMBERS = (10**20, -(10**20), 10**400, 2**63, -1, 0, 1e308, -1e308, 5e-324, math.nan, math.inf, -math.inf)
REQUIRED = {
    "table": "t.biom", "metadata": "m.tsv", "metadata_column": ["a"], "output_dir": "o", "output": "o.tsv",
    "model": "m", "tree": "t.nwk", "name": "n",
}  # fmt: skip


@pytest.mark.parametrize("name", commands())
def test_numbers_beyond_any_quantity_are_one_line(name: str) -> None:
    """Whatever number stands in a file of settings, and whatever the option: it is taken or refused in one line."""
    root = commands()[name].root_class
    fields = config_fields(root)
    required = {key: value for key, value in REQUIRED.items() if key in fields}
    for field in fields.values():
        is_list = get_origin(field.kind) is tuple
        kind = get_args(field.kind)[0] if is_list else field.kind
        for number in NUMBERS if kind in (int, float) else ():
            values = required | {field.name: [number] if is_list else number}
            sections: dict[str, dict[str, object]] = {}
            for key, value in values.items():
                sections.setdefault(fields[key].section, {})[key] = value
            error = refusal(sections, root)
            assert len(error) < 500, field.name
            assert "\n" not in error
            assert error or -1 <= number < 10**15, (field.name, number)


def refusal(sections: dict[str, dict[str, object]], root: type) -> str:
    """Why settings are refused; empty if they are taken, and then they come back as they were."""
    try:
        config = config_from_toml(tomli_w.dumps(sections), root)
    except ConfigError as error:
        return str(error)
    assert config_from_toml(config_to_toml(config), root) == config
    return ""


DECLARED_TWICE = {
    "metadata_column": "`aam check` may look at files without a target",
    "classifier": "goes with --metadata-column, which is declared twice",
    "batch_size": "a step of training changes the result, a step of prediction does not",
    "clip_negative_lengths": "goes with --tree, which is declared twice",
    "missing_tips": "`aam unifrac` has no targets to leave ASVs out of",
    "output": "each command says what it writes",
    "device": "common in training, rarely given in prediction",
    "output_dir": "each command says what it puts there",
    "unifrac_weight": "1 in pretraining; in training it depends on --tree and --unifrac-matrix",
    "rarefy_depth": "a study is measured once, without it by default; a model sees draws",
    "seed": "each command says what it draws",
    "tree": "`aam unifrac` cannot do without",
    "unifrac_metric": "`aam unifrac` writes one thing",
    "target_transform": "goes with --metadata-column, which is declared twice",
    "normalize_by": "goes with --metadata-column, which is declared twice",
    "cv": "a check makes the splits of a run without being one",
    "overwrite": "goes with --output",
    "model": "each command says which kinds of models it takes",
    "prediction_passes": "an evaluation repeats training, a prediction may differ",
    "splits_from": "a run takes samples over, an evaluation looks up what was trained on",
    "unifrac_alpha": "goes with --unifrac-metric, which is declared twice",
    "best_metric": "the metrics of an encoder are not those of a target",
    "masked_base_weight": "1 in pretraining, 0 in training",
    "masked_count_weight": "1 in pretraining, 0 in training",
    "asv_sampling": "prediction does as training did unless it is told otherwise",
}

"""Settings of `aam rf-baseline --splits-from RUN`: what is not given is taken from the run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aam_data.options.targets import TargetOptions
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.splits.selection import default_depth
from aam_data.splits.splits import splits_file
from aam_data.study.frame.frame import Frame
from aam_data.study.study import Study
from aam_models.errors import ModelError
from aam_train.baselines import random_forest
from aam_train.errors import TrainError
from aam_train.options.recipe_configs import BaselineConfig, PretrainConfig, TrainConfig
from aam_train.options.toml import build_config, config_fields, config_to_dict, flag, values_from_toml
from aam_train.runs.checkpoints import model_folder, run_folders_in
from aam_train.runs.folder import CONFIG
from aam_train.runs.records import TrainingRecord, read_preprocessor, read_training

DEFAULT_SEED = 42
# Options that decide the forest, and their names in the run; files are compared by their digests.
_SHARED = {
    "metadata_column": "metadata_column",
    "classifier": "classifier",
    "group_column": "group_column",
    "rarefy_depth": "rarefy_depth",
    "random_seed": "seed",
    "trim_length": "trim_length",
    "missing_features": "missing_features",
    "relative_abundance": "relative_abundance",
    "id_column": "id_column",
    "na_value": "na_value",
    "default_na": "default_na",
    "missing_samples": "missing_samples",
}


@dataclass(frozen=True, eq=False)
class BaselineSettings:
    """Settings of a forest.

    Attributes:
        config: all settings, with those of the run where none were given.
        depth: reads drawn per sample; 0 = all.
        seed: random seed.
        preprocessor: the run's, if the forest has its target; None to fit one.
        notes: what was taken from the run, and warnings about what differs.
        record: of the run; None without one.
        frame: of the run's encoder, into which its table was brought; None if it was not.
    """

    config: BaselineConfig
    depth: int
    seed: int
    preprocessor: Preprocessor | None = None
    notes: tuple[str, ...] = ()
    record: TrainingRecord | None = None
    frame: Frame | None = None

    @property
    def target(self) -> TargetOptions:
        return self.config.target()

    def other_files(self, study: Study) -> list[str]:
        """Return a warning for each input that is not a file of the run."""
        if self.record is None:
            return []
        known = {entry["sha256"] for entry in self.record.inputs}
        others = [str(file.path) for file in study.inputs if file.sha256 not in known]
        return [f"warning: {path} is not a file of that run, so the forest is not the run's own" for path in others]


def resolve_settings(config: BaselineConfig) -> BaselineSettings:
    """Complete the settings with those of the run of ``--splits-from``, if it is a run with a model.

    Raises:
        DataError, ModelError, TrainError: ``--splits-from`` names no splits, or neither the options nor a run name a
            target.
    """
    given = config.split.splits_from
    if given is None:
        return _of_options(config)
    models = run_folders_in(given)
    if models and not (given / "splits.tsv").exists():
        raise TrainError(f"--splits-from {given}: a run of several models. Pass one of them, such as {models[0]}")
    run = splits_file(given).parent
    if not (run / CONFIG).is_file():
        return _of_options(config)
    try:
        model = model_folder(run)
        preprocessor, record = read_preprocessor(model), read_training(model)
    except (TrainError, ModelError) as error:
        note = f"warning: only the split of {run} is used, not its settings: {error}"
        return replace(_of_options(config), notes=(note,))
    return _of_run(config, run, preprocessor, record)


def _of_options(config: BaselineConfig) -> BaselineSettings:
    if not config.baseline.metadata_column:
        raise TrainError("missing --metadata-column: there is no run of `aam train` to take it from")
    options = config.baseline
    depth = default_depth(options.rarefy_depth, with_matrix=False, relative_abundance=config.table.relative_abundance)
    return BaselineSettings(config, depth, DEFAULT_SEED if options.random_seed is None else options.random_seed)


def _of_run(config: BaselineConfig, run: Path, preprocessor: Preprocessor, record: TrainingRecord) -> BaselineSettings:
    root = TrainConfig if record.command == "train" else PretrainConfig
    stored = values_from_toml((run / CONFIG).read_text(encoding="utf-8"), root)
    fitted = {"rarefy_depth": preprocessor.rarefy_depth, "seed": preprocessor.seed}
    stored |= {**fitted, "trim_length": preprocessor.trim_length}
    if record.command != "train":
        stored |= {"metadata_column": (), "classifier": False}
    values = {name: value for section in _values(config).values() for name, value in section.items()}
    inherited, different = _merge(config, values, stored)
    own_target = not any(name in different for name in ("metadata_column", "classifier"))
    complete: BaselineConfig = build_config(BaselineConfig, values | inherited)
    words = [_word(name, value) for name, value in inherited.items()]
    notes = [f"as in the run {run}: {', '.join(words)}"] if words else []
    changed = [
        f"{_word(name, values[name])} (the run: {_word(name, was) if isinstance(was, bool) else _plain(was)})"
        for name, was in different.items()
        if name != "classifier" or "metadata_column" not in different
    ]
    if changed:
        notes.append(f"warning: the forest is not the run's own, since these options differ: {', '.join(changed)}")
    return replace(
        _of_options(complete),
        preprocessor=preprocessor if own_target and preprocessor.targets else None,
        notes=tuple(notes),
        record=record,
        frame=preprocessor.frame if stored.get("pretrained_encoder") and stored.get("frame") != "ignore" else None,
    )


def _values(config: BaselineConfig) -> dict[str, dict[str, Any]]:
    return {
        section: {name: getattr(getattr(config, section), name) for name in values}
        for section, values in config_to_dict(config).items()
    }


def _merge(
    config: BaselineConfig, values: dict[str, Any], stored: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the run's values of options that have their default, and those of options that were given otherwise.

    A run that has no target of its own, an encoder's, differs in none.
    """
    fields, inherited, different = config_fields(type(config)), {}, {}
    forest = {"n_estimators": random_forest.TREES, "max_features": "sqrt"}
    for name, name_there in [*_SHARED.items(), *((name, name) for name in forest)]:
        default = fields[name].default
        own, there = values.get(name, default), forest.get(name, stored.get(name_there, default))
        without_target = name in ("metadata_column", "classifier") and not stored["metadata_column"]
        if own == there or without_target:
            continue
        same_column = values.get("metadata_column", ()) in ((), stored["metadata_column"])
        if own == default and name not in forest and (name != "classifier" or same_column):
            inherited[name] = there
        else:
            different[name] = there
    return inherited, different


def _word(name: str, value: object) -> str:
    if isinstance(value, bool):
        return flag(name) if value else f"--no-{flag(name)[2:]}"
    return f"{flag(name)} {_plain(value)}"


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)

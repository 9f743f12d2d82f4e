"""Folder of several models whose predictions are averaged: ``ensemble.json`` names them. Needs no torch."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from reprlib import repr as short
from typing import NamedTuple

from aam_data.errors import first_few
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_models.errors import ModelError
from aam_models.storage.typed_json import read_record
from aam_train.errors import TrainError
from aam_train.files import read_json_object, write_json
from aam_train.runs.checkpoints import ENSEMBLE, model_folder
from aam_train.runs.model_parts import read_parts

MAX_MEMBERS = 10_000  # 100 folds in 100 repeats
_NUMBER = "[1-9][0-9]{0,2}"
_NAME = re.compile(rf"member-{_NUMBER}|(repeat-{_NUMBER}/)?fold-{_NUMBER}")


@dataclass(frozen=True)
class MemberList:
    """Content of ``ensemble.json``.

    Attributes:
        members: names of the models' folders: ``member-1``, ``fold-1`` or ``repeat-1/fold-1``.
        format_version: of the file.
    """

    members: list[str]
    format_version: int = 1

    def __post_init__(self) -> None:
        if not 2 <= len(self.members) <= MAX_MEMBERS:
            raise ModelError(f"{len(self.members):,} members; there must be 2 to {MAX_MEMBERS:,}")
        if wrong := [short(name) for name in self.members if not _NAME.fullmatch(name)]:
            raise ModelError(f"not names of members, such as member-1 or fold-1: {first_few(wrong)}")
        if len(set(self.members)) < len(self.members):
            raise ModelError("a member is named twice")


class Member(NamedTuple):
    """A model, and what it does with data.

    Attributes:
        folder: the model folder.
        preprocessor: of the model.
    """

    folder: Path
    preprocessor: Preprocessor


def is_ensemble(path: Path) -> bool:
    """Return whether a folder is one of several models whose predictions are averaged."""
    return os.path.lexists(path / ENSEMBLE)


def member_names(path: Path) -> list[str]:
    """Read the names of the members of an ensemble.

    Raises:
        ModelError: ``ensemble.json`` is damaged, or of a newer version.
    """
    file = path / ENSEMBLE
    content, newest = read_json_object(file), MemberList.format_version
    version = content.get("format_version")
    if type(version) is int and version > newest:
        raise ModelError(
            f"{file}: format version {version}; this program reads versions up to {newest}. Update AAM: pip install "
            "-U aam-cli"
        )
    return read_record(MemberList, content, str(file)).members


def member_folders(path: Path) -> list[Path]:
    """Return the model folders of the members of an ensemble.

    Raises:
        ModelError: ``ensemble.json`` is damaged, or a member is a link.
        TrainError: a member is absent or has no model.
    """
    names = member_names(path)
    for name in names:
        if any((path / part).is_symlink() for part in (Path(name), *Path(name).parents)[:-1]):
            raise ModelError(f"{path / name}: a link. Put the model's own folder in its place")
        if not (path / name).is_dir():
            raise TrainError(f"{path / name}: no such folder, and {ENSEMBLE} names it. Copy the ensemble again")
    return [model_folder(path / name) for name in names]


def read_members(path: Path) -> list[Member]:
    """Read the descriptions of the members of an ensemble, and check that their predictions can be averaged.

    Raises:
        ModelError, DataError: a file is absent or damaged, or the members do not predict the same.
        TrainError: a member is absent.
    """
    members = [Member(folder, read_parts(folder).preprocessor) for folder in member_folders(path)]
    names = member_names(path)
    if text := difference(names, [member.preprocessor for member in members]):
        raise ModelError(f"{path / ENSEMBLE}: {text}. Pass one of them, such as {path / names[0]}")
    return members


def publish_members(path: Path, names: Sequence[str]) -> str | None:
    """Write ``ensemble.json``, or return why the predictions of these finished models cannot be averaged."""
    text = difference(names, [read_parts(model_folder(path / name)).preprocessor for name in names])
    if text is None:
        write_json(path / ENSEMBLE, asdict(MemberList(list(names))))
    return text


def difference(names: Sequence[str], preprocessors: Sequence[Preprocessor]) -> str | None:
    """Return what keeps models from predicting the same of the same samples; None if nothing does.

    Their frames may differ, as those of folds do: each model reads the table in its own.
    """
    first, *others = [_shared(preprocessor) for preprocessor in preprocessors]
    if not preprocessors[0].targets:
        return f"{names[0]} is an encoder, which predicts nothing"
    for name, other in zip(names[1:], others, strict=True):
        for what, own in first.items():
            there = other[what]
            for has, has_not, more in (
                (names[0], name, [value for value in own if value not in there]),
                (name, names[0], [value for value in there if value not in own]),
            ):
                if more:
                    return f"its models differ in {what}: {has} has {first_few(more)}, unlike {has_not}"
            if own != there:
                return f"its models differ in the order of their {what}: {names[0]} and {name}"
    return None


def _shared(preprocessor: Preprocessor) -> dict[str, list[str]]:
    """Return what must be the same in all members, in words."""
    labels, targets = preprocessor.labels, preprocessor.targets
    return {
        "targets": [f"{target.spec.name} ({target.spec.kind})" for target in targets],
        "classes": list(labels.names) if labels is not None else [],
        "quantiles": [f"{q:g} of {target.spec.name}" for target in targets for q in target.quantiles],
        "metadata columns": list(preprocessor.required_columns),
        "--trim-length": [str(preprocessor.trim_length)],
        "--rarefy-depth": [str(preprocessor.rarefy_depth)],
    }

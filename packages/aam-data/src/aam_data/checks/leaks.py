"""Warnings that held-out figures may promise too much: what training and test share, and what tells the target.

Each warning has figures and says what to do. The limits are meant to stay silent on sound studies.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from aam_data.checks.confounding import FEWEST_SAMPLES, Association, association, explained_by
from aam_data.checks.near_duplicates import MOST_BRAY_CURTIS, TwinSearch, find_twins
from aam_data.errors import first_few
from aam_data.options.targets import TargetOptions
from aam_data.readers.metadata.metadata import Metadata
from aam_data.splits.splits import Splits
from aam_data.splits.strata import group_codes, label_codes
from aam_data.study.study import Study

MOST_EXPLAINED = 0.5  # of a target by a column: half of its variance, or of the errors of guessing
LEAST_ASSOCIATION = 0.6  # of a target with the number of reads: rank correlation, or AUC 0.8

_SUFFIX = r"(_?(id|ids|name|number|no|prefix|accession))?"
_HOSTS = re.compile(
    rf"((host|host_subject|subject|patient|individual|participant|cage){_SUFFIX}"
    r"|(animal|mouse|person|donor|family|household)_?id)"
)
_BATCHES = re.compile(
    r"((qiita|sequencing|seq|library|primer|sample|extraction|dna_extraction|pcr|run)_)?"
    rf"(study|plate|run|batch|lane|flowcell|flow_cell|center|cohort){_SUFFIX}"
)


class Leak(ABC):
    """A reason to distrust held-out figures; ``text`` is a sentence with the figures and what to do."""

    @property
    @abstractmethod
    def text(self) -> str: ...

    @property
    def level(self) -> Literal["warning", "note"]:
        """A warning, or a note where sound studies have it too."""
        return "warning"


@dataclass(frozen=True)
class SharedGroups(Leak):
    """A column that looks like hosts, studies or batches has the same values on both sides of the split.

    Attributes:
        shared: test and validation samples that share their value with a training sample.
        held_out: test and validation samples that have a value.
        hosts: whether it looks like hosts; that batches are on both sides is no more than a note.
    """

    column: str
    shared: int
    held_out: int
    hosts: bool

    @property
    def text(self) -> str:
        return (
            f"{self.shared:,} of the {self.held_out:,} test and validation samples share their {self.column} with "
            f"training samples, so figures also measure how well it is remembered; --group-column {self.column} "
            "keeps its values on one side"
        )

    @property
    def level(self) -> Literal["warning", "note"]:
        return "warning" if self.hosts else "note"


@dataclass(frozen=True)
class SharedCommunities(Leak):
    """Test or validation samples are nearly the same community as a training sample."""

    search: TwinSearch

    @property
    def text(self) -> str:
        found = self.search
        pairs = [f"{twin.sample_id} and {twin.known_id} at {twin.bray_curtis:.3f}" for twin in found.twins]
        compared = f"{found.compared:,} test and validation samples"
        if (found.compared, found.known) != (found.of, found.of_known):
            compared = f"{found.compared:,} of {found.of:,} test and validation samples"
            compared += f" with {found.known:,} of {found.of_known:,} training samples"
        return (
            f"{len(found.twins):,} test and validation samples are nearly the same community as a training sample "
            f"(Bray-Curtis distance at most {MOST_BRAY_CURTIS:g}, compared: {compared}; {first_few(pairs, 3)}); if "
            "they are replicates, keep them together with --group-column"
        )


@dataclass(frozen=True)
class TargetFollowsColumn(Leak):
    """A column that looks like hosts, studies or batches tells the target.

    Attributes:
        explained: of the target's variance or of the errors of guessing, see ``confounding.explained_by``.
    """

    target: str
    column: str
    explained: float
    classes: bool

    @property
    def text(self) -> str:
        what = "the errors of guessing it" if self.classes else "its variance"
        return (
            f"{self.target} follows {self.column}, which alone explains {self.explained:.0%} of {what}; a model can "
            f"learn {self.column} in place of {self.target}. Compare within {self.column}, or hold whole ones out with "
            f"--group-column {self.column}"
        )


@dataclass(frozen=True)
class TargetFollowsInput(Leak):
    """A category that the model is given tells the target; the attributes are those of `TargetFollowsColumn`."""

    target: str
    column: str
    explained: float
    classes: bool

    @property
    def level(self) -> Literal["warning", "note"]:
        return "note"

    @property
    def text(self) -> str:
        what = "the errors of guessing it" if self.classes else "its variance"
        return (
            f"{self.target} follows {self.column}, which the model is given and which alone explains "
            f"{self.explained:.0%} of {what}: compare with what the report says of the metadata alone"
        )


@dataclass(frozen=True)
class TargetFollowsDepth(Leak):
    """The number of reads of a sample tells the target."""

    target: str
    found: Association
    rarefy_depth: int

    @property
    def text(self) -> str:
        found = self.found
        if found.measure == "AUC":
            value, (here, others) = max(found.value, 1 - found.value), found.medians
            figures = f"AUC {value:.3f} of {found.class_name}: median {here:,.0f} reads, {others:,.0f} in the others"
        else:
            figures = f"rank correlation {found.value:.2f}"
        what = "keep --rarefy-depth" if self.rarefy_depth else "rarefy with --rarefy-depth"
        return (
            f"the number of reads alone tells {self.target} ({figures}); {what}, and distrust figures of models, "
            "baselines too, that saw samples of unequal depth"
        )


def find_leaks(
    study: Study,
    splits: Splits,
    target: TargetOptions | None,
    group_column: str | None,
    rarefy_depth: int,
    inputs: Sequence[str] = (),
) -> list[Leak]:
    """Everything worth a warning about one split of a study.

    Args:
        study: with metadata, where columns are to be looked at.
        splits: of samples of the study.
        target: columns to predict; None for pretraining, which looks at shared groups and communities only.
        group_column: whose values stay together; it is not suspected itself.
        rarefy_depth: reads drawn per sample; 0 = counts as they are. Communities are compared by all their reads.
        inputs: categorical columns that the model is given.
    """
    row_of = {sample_id: row for row, sample_id in enumerate(study.table.sample_ids)}
    train, held_out = (
        np.array([row_of[i] for i in ids], dtype=np.int64) for ids in (splits.train, splits.validation + splits.test)
    )
    leaks: list[Leak] = []
    columns = suspicious_columns(study.metadata) if study.metadata is not None else []
    columns = [column for column in columns if column != group_column]
    if study.metadata is not None:
        leaks += _shared_groups(study.metadata, columns, train, held_out)
    search = find_twins(study.table, held_out, train)
    if search.twins:
        leaks.append(SharedCommunities(search))
    if study.metadata is not None and target is not None:
        rows = np.sort(np.concatenate([train, held_out]))  # so that all folds of the same samples say the same
        for name in target.metadata_column:
            leaks += _follows(study, rows, name, target.classifier, columns, inputs, group_column, rarefy_depth)
    return leaks


def leak_notes(
    study: Study,
    splits: Splits,
    target: TargetOptions | None,
    group_column: str | None,
    rarefy_depth: int,
    inputs: Sequence[str] = (),
) -> list[str]:
    """What ``find_leaks`` finds, as lines to print."""
    leaks = find_leaks(study, splits, target, group_column, rarefy_depth, inputs)
    return [f"warning: {leak.text}" if leak.level == "warning" else leak.text for leak in leaks]


def suspicious_columns(metadata: Metadata) -> list[str]:
    """Columns whose names sound like hosts, studies, plates, runs or other batches; hosts first, equal ones once."""
    hosts = [column for column in metadata.columns if _HOSTS.fullmatch(_plain(column))]
    batches = [column for column in metadata.columns if _BATCHES.fullmatch(_plain(column))]
    divisions: dict[bytes, str] = {}
    for column in hosts + batches:
        code = label_codes(metadata.text(column))[1]
        _, index, code = np.unique(code, return_index=True, return_inverse=True)
        first = index[code]  # the same for equal divisions, whatever their names
        divisions.setdefault(first.tobytes(), column)
    return list(divisions.values())


def _plain(column: str) -> str:
    """``"Host.Subject ID"`` -> ``"host_subject_id"``."""
    return re.sub(r"[\W_]+", "_", column.lower()).strip("_")


def _shared_groups(
    metadata: Metadata, columns: list[str], train: np.ndarray, held_out: np.ndarray
) -> list[SharedGroups]:
    found = []
    for column in columns:
        code = label_codes(metadata.text(column))[1]
        known, known_train = (rows[code[rows] >= 0] for rows in (held_out, train))
        shared = int(np.isin(code[known], code[known_train]).sum())
        if shared and len(np.unique(code[np.concatenate([known, known_train])])) > 1:
            found.append(SharedGroups(column, shared, len(known), _HOSTS.fullmatch(_plain(column)) is not None))
    return found


def _follows(
    study: Study,
    rows: np.ndarray,
    name: str,
    classifier: bool,
    columns: list[str],
    inputs: Sequence[str],
    group_column: str | None,
    rarefy_depth: int,
) -> list[Leak]:
    """What tells one target, on the samples ``rows``."""
    metadata = study.metadata
    assert metadata is not None
    classes: list[str] = []
    if classifier:
        classes, target = label_codes(metadata.text(name)[rows])
        rows, target = rows[target >= 0], target[target >= 0]
    else:
        target = metadata.numeric(name)[rows]
        rows, target = rows[np.isfinite(target)], target[np.isfinite(target)]
    if len(rows) < FEWEST_SAMPLES:
        return []
    leaks: list[Leak] = []
    together = np.arange(len(rows)) if group_column is None else group_codes(metadata.text(group_column)[rows])
    for column in dict.fromkeys([*columns, *inputs]):
        groups = label_codes(metadata.text(column)[rows])[1]
        known = groups >= 0
        if column == name or known.sum() < FEWEST_SAMPLES:
            continue
        explained = explained_by(target[known], groups[known], together[known])
        if explained >= MOST_EXPLAINED:
            kind = TargetFollowsInput if column in inputs else TargetFollowsColumn
            leaks.append(kind(name, column, explained, classifier))
    if study.table.is_integer:
        found = association(study.table.depths()[rows].astype(np.float64), target, classes)
        if found is not None and found.strength >= LEAST_ASSOCIATION:
            leaks.append(TargetFollowsDepth(name, found, rarefy_depth))
    return leaks

"""Leaks: reasons why scores on held-out samples may be too good, with numbers and a remedy each.

Held-out samples may share something with training samples, and technical variables may predict the target. The limits
are meant to cause no warnings for sound studies.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from aam_data.checks.confounding import MIN_SAMPLES, Association, association, explained_by
from aam_data.checks.near_duplicates import MAX_BRAY_CURTIS, DuplicateSearch, find_near_duplicates
from aam_data.errors import first_few
from aam_data.notes import Note
from aam_data.options.targets import TargetOptions
from aam_data.readers.metadata.metadata import Metadata
from aam_data.splits.splits import Splits
from aam_data.splits.strata import group_codes, label_codes
from aam_data.study.study import Study

MAX_EXPLAINED = 0.5  # share of a target that a column may explain: half of its variance, or of the errors of guessing
MAX_ASSOCIATION = 0.6  # of a target with the number of reads: rank correlation, or AUC 0.8

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
    """A reason to distrust held-out scores; ``text`` is a sentence with the numbers and a remedy."""

    code: ClassVar[str]

    @property
    @abstractmethod
    def text(self) -> str: ...

    @property
    def level(self) -> Literal["warning", "note"]:
        """A warning, or a note for what sound studies have too."""
        return "warning"


@dataclass(frozen=True)
class SharedGroups(Leak):
    """A column that looks like hosts, studies or batches has the same values on both sides of the split.

    Attributes:
        shared: test and validation samples that share their value with a training sample.
        held_out: test and validation samples that have a value.
        hosts: whether the column looks like hosts, which makes this a warning; other columns get a note.
    """

    code = "leak-shared-groups"
    column: str
    shared: int
    held_out: int
    hosts: bool

    @property
    def text(self) -> str:
        return (
            f"{self.shared:,} of the {self.held_out:,} test and validation samples share their {self.column} with "
            f"training samples, so a model that memorises it scores too well; --group-column {self.column} keeps "
            "its values on one side"
        )

    @property
    def level(self) -> Literal["warning", "note"]:
        return "warning" if self.hosts else "note"


@dataclass(frozen=True)
class SharedCommunities(Leak):
    """Test or validation samples are nearly the same community as a training sample."""

    code = "leak-near-duplicates"
    search: DuplicateSearch

    @property
    def text(self) -> str:
        search = self.search
        pairs = [f"{pair.sample_id} and {pair.known_id} at {pair.bray_curtis:.3f}" for pair in search.duplicates]
        compared = f"{search.compared:,} test and validation samples"
        if (search.compared, search.known) != (search.n_samples, search.n_known):
            compared = f"{search.compared:,} of {search.n_samples:,} test and validation samples"
            compared += f" with {search.known:,} of {search.n_known:,} training samples"
        return (
            f"{len(pairs):,} test and validation samples are nearly the same community as a training sample "
            f"(Bray-Curtis distance at most {MAX_BRAY_CURTIS:g}, compared: {compared}; {first_few(pairs, 3)}); if "
            "they are replicates, keep them together with --group-column"
        )


@dataclass(frozen=True)
class TargetFollowsColumn(Leak):
    """A column that looks like hosts, studies or batches predicts the target.

    Attributes:
        explained: share of the target's variance or of the errors of guessing, see ``confounding.explained_by``.
    """

    code = "leak-target-follows-column"
    target: str
    column: str
    explained: float
    classes: bool

    @property
    def text(self) -> str:
        what = "the errors of guessing it" if self.classes else "its variance"
        return (
            f"{self.target} follows {self.column}, which alone explains {self.explained:.0%} of {what}; a model may "
            f"learn {self.column} instead of {self.target}. Compare samples within one {self.column}, or hold out "
            f"whole ones with --group-column {self.column}"
        )


@dataclass(frozen=True)
class TargetFollowsInput(Leak):
    """A category that is model input predicts the target; the attributes are those of `TargetFollowsColumn`."""

    code = "leak-target-follows-input"
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
            f"{self.target} follows {self.column}, which is model input and alone explains {self.explained:.0%} of "
            f"{what}; compare with the report's scores of the metadata alone"
        )


@dataclass(frozen=True)
class TargetFollowsDepth(Leak):
    """The number of reads of a sample predicts the target."""

    code = "leak-target-follows-depth"
    target: str
    association: Association
    rarefy_depth: int

    @property
    def text(self) -> str:
        association = self.association
        if association.measure == "AUC":
            value, (inside, others) = max(association.value, 1 - association.value), association.medians
            size = f"AUC {value:.3f} for {association.class_name}: median {inside:,.0f} reads, others {others:,.0f}"
        else:
            size = f"rank correlation {association.value:.2f}"
        remedy = "keep --rarefy-depth" if self.rarefy_depth else "rarefy with --rarefy-depth"
        return (
            f"sequencing depth alone predicts {self.target} ({size}); {remedy}, and distrust scores of models and "
            "baselines trained on unequal depth"
        )


def find_leaks(
    study: Study,
    splits: Splits,
    target: TargetOptions | None,
    group_column: str | None,
    rarefy_depth: int,
    inputs: Sequence[str] = (),
) -> list[Leak]:
    """Find everything worth a warning about one split of a study.

    Args:
        study: the study; without metadata, only communities are compared.
        splits: a split of its samples.
        target: columns to predict; None for pretraining, which checks shared groups and communities only.
        group_column: column whose values stay together; it is not suspected itself.
        rarefy_depth: reads drawn per sample; 0 = counts as they are. Communities are compared by all their reads.
        inputs: categorical columns that are model input.

    Returns:
        Shared groups first, then shared communities, then what predicts each target.

    Example:
        >>> for leak in find_leaks(study, splits, TargetOptions(("age",)), "host", rarefy_depth=5000):
        ...     print(leak)
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
    search = find_near_duplicates(study.table, held_out, train)
    if search.duplicates:
        leaks.append(SharedCommunities(search))
    if study.metadata is not None and target is not None:
        rows = np.sort(np.concatenate([train, held_out]))  # so that all folds of the same samples give equal notes
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
) -> list[Note]:
    """Run ``find_leaks`` and return its results as lines to print."""
    leaks = find_leaks(study, splits, target, group_column, rarefy_depth, inputs)
    return [Note(leak.code, leak.text, leak.level) for leak in leaks]


def suspicious_columns(metadata: Metadata) -> list[str]:
    """List columns whose names suggest hosts, studies, plates, runs or other batches.

    Hosts come first. Of columns that divide the samples equally, only the first is listed.
    """
    hosts = [column for column in metadata.columns if _HOSTS.fullmatch(_plain(column))]
    batches = [column for column in metadata.columns if _BATCHES.fullmatch(_plain(column))]
    divisions: dict[bytes, str] = {}
    for column in hosts + batches:
        code = label_codes(metadata.text(column))[1]
        _, index, code = np.unique(code, return_index=True, return_inverse=True)
        first = index[code]  # the same for equal divisions, whatever their labels
        divisions.setdefault(first.tobytes(), column)
    return list(divisions.values())


def _plain(column: str) -> str:
    """Normalise a column name: ``"Host.Subject ID"`` -> ``"host_subject_id"``."""
    return re.sub(r"[\W_]+", "_", column.lower()).strip("_")


def _shared_groups(
    metadata: Metadata, columns: list[str], train: np.ndarray, held_out: np.ndarray
) -> list[SharedGroups]:
    leaks = []
    for column in columns:
        code = label_codes(metadata.text(column))[1]
        known, known_train = (rows[code[rows] >= 0] for rows in (held_out, train))
        shared = int(np.isin(code[known], code[known_train]).sum())
        if shared and len(np.unique(code[np.concatenate([known, known_train])])) > 1:
            leaks.append(SharedGroups(column, shared, len(known), _HOSTS.fullmatch(_plain(column)) is not None))
    return leaks


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
    """Find what predicts one target, on the samples ``rows``."""
    metadata = study.metadata
    assert metadata is not None
    classes: list[str] = []
    if classifier:
        classes, target = label_codes(metadata.text(name)[rows])
        rows, target = rows[target >= 0], target[target >= 0]
    else:
        target = metadata.numeric(name)[rows]
        rows, target = rows[np.isfinite(target)], target[np.isfinite(target)]
    if len(rows) < MIN_SAMPLES:
        return []
    leaks: list[Leak] = []
    together = np.arange(len(rows)) if group_column is None else group_codes(metadata.text(group_column)[rows])
    for column in dict.fromkeys([*columns, *inputs]):
        groups = label_codes(metadata.text(column)[rows])[1]
        known = groups >= 0
        if column == name or known.sum() < MIN_SAMPLES:
            continue
        explained = explained_by(target[known], groups[known], together[known])
        if explained >= MAX_EXPLAINED:
            kind = TargetFollowsInput if column in inputs else TargetFollowsColumn
            leaks.append(kind(name, column, explained, classifier))
    if study.table.is_integer:
        with_depth = association(study.table.depths()[rows].astype(np.float64), target, classes)
        if with_depth is not None and with_depth.strength >= MAX_ASSOCIATION:
            leaks.append(TargetFollowsDepth(name, with_depth, rarefy_depth))
    return leaks

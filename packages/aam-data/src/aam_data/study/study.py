"""One study: counts, sequences, and what is known about its samples and ASVs, aligned by id."""

from __future__ import annotations

from dataclasses import dataclass

from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions, TaxonomyOptions
from aam_data.readers.biom.table import TableFile
from aam_data.readers.distances.matrix import DistanceMatrix
from aam_data.readers.metadata.metadata import Metadata
from aam_data.readers.qiime2 import Provenance
from aam_data.readers.taxonomy import Taxonomy
from aam_data.sequences import Sequences
from aam_data.study.load import Inspection, inspect_study
from aam_data.study.phylogeny import Phylogeny
from aam_data.table import CountTable


@dataclass(frozen=True, eq=False)
class Study:
    """What AAM learns from or predicts for: B samples and A ASVs.

    Attributes:
        table: samples in the order of the file; features in canonical order (sorted by sequence). Every sample and
            every feature has reads.
        sequences: of the table's features.
        metadata: of the table's samples, in their order; samples that the file lacks miss every value.
        phylogeny: the tree, sheared to the table's features.
        distances: of the table's samples, in their order; NaN for samples that the matrix lacks.
        taxonomy: of the table's features, in their order.
        notes: sentences about everything that was dropped, merged or cut.
        inputs: the files that were read.
        dropped_samples: ids of samples without reads, which the table no longer has.
    """

    table: CountTable
    sequences: Sequences
    metadata: Metadata | None = None
    phylogeny: Phylogeny | None = None
    distances: DistanceMatrix | None = None
    taxonomy: Taxonomy | None = None
    notes: tuple[str, ...] = ()
    inputs: tuple[Provenance, ...] = ()
    dropped_samples: tuple[str, ...] = ()


def read_study(
    table: TableOptions,
    metadata: MetadataOptions | None = None,
    phylogeny: PhylogenyOptions | None = None,
    taxonomy: TaxonomyOptions | None = None,
    file: TableFile | None = None,
) -> Study:
    """Read the files of a study and align them by id.

    Args:
        file: the table, where it was read already.

    Raises:
        DataError: all problems at once (`DataErrors` when there are several): a file that its reader refuses,
            files that do not belong together, or samples, sequences or tips that are missing where the options do
            not allow it.
    """
    found = inspect_study(table, metadata or MetadataOptions(), phylogeny or PhylogenyOptions(), taxonomy, file)
    found.problems.raise_collected()
    study = study_of(found)
    assert study is not None
    return study


def study_of(found: Inspection) -> Study | None:
    """The study of what was found; None when its table or sequences could not be read."""
    if found.table is None or found.sequences is None:
        return None
    return Study(
        found.table,
        found.sequences,
        found.metadata,
        found.phylogeny,
        found.distances,
        found.taxonomy,
        found.notes,
        found.inputs,
        found.dropped_samples,
    )

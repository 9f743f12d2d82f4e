"""A study: counts, sequences, and data about its samples and ASVs, aligned by id."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aam_data.notes import Note
from aam_data.options.files import MetadataOptions, PhylogenyOptions, TableOptions, TaxonomyOptions
from aam_data.readers.biom.table import TableFile
from aam_data.readers.distances.matrix import DistanceMatrix
from aam_data.readers.metadata.metadata import Metadata
from aam_data.readers.qiime2 import Provenance
from aam_data.readers.taxonomy import Taxonomy
from aam_data.sequences import Sequences
from aam_data.study.forest import Forest
from aam_data.study.frame.frame import Frame
from aam_data.study.load import LoadedFiles, load_study
from aam_data.study.phylogeny import Phylogeny
from aam_data.table import CountTable


@dataclass(frozen=True, eq=False)
class Study:
    """Data to learn from or to predict for: B samples and A ASVs.

    Attributes:
        table: counts; samples in the order of the file, features in canonical order (sorted by sequence). Every
            sample and every feature has reads.
        sequences: sequences of the table's features.
        metadata: metadata of the table's samples, in their order; all values are missing for samples that are not in
            the file.
        phylogeny: the tree, sheared to the table's features.
        distances: distances of the table's samples, in their order; NaN for samples that are not in the matrix. With
            both, these are learned and the tree checks them.
        taxonomy: taxonomy of the table's features, in their order.
        notes: sentences about everything that was dropped, merged or cut.
        inputs: the files that were read.
        dropped_samples: ids of samples without reads, which are not in the table.
        frame: of a model, into which the sequences were brought; None if they are as in the file.
        forest: of a corpus, trees that cover some of the samples each, instead of ``phylogeny``.
        trimmed_to: of a corpus, bases to which all its sequences were trimmed, 0 for none; None for files.
    """

    table: CountTable
    sequences: Sequences
    metadata: Metadata | None = None
    phylogeny: Phylogeny | None = None
    distances: DistanceMatrix | None = None
    taxonomy: Taxonomy | None = None
    notes: tuple[Note, ...] = ()
    inputs: tuple[Provenance, ...] = ()
    dropped_samples: tuple[str, ...] = ()
    frame: Frame | None = None
    forest: Forest | None = None
    trimmed_to: int | None = None


def read_study(
    table: TableOptions,
    metadata: MetadataOptions | None = None,
    phylogeny: PhylogenyOptions | None = None,
    taxonomy: TaxonomyOptions | None = None,
    file: TableFile | None = None,
    frame: Frame | None = None,
) -> Study:
    """Read the files of a study and align them by id.

    Args:
        table: the feature table and its sequences.
        metadata, phylogeny, taxonomy: the other files.
        file: the table, if it was read already.
        frame: of the model that the table is for, into which its sequences are brought; None to take them as they are.

    Returns:
        The study, with notes on everything that was dropped, merged or cut.

    Raises:
        DataError: all problems at once (`DataErrors` if there are several): files that cannot be read, files that do
            not belong together, or missing samples, sequences or tips that the options do not allow.

    Example:
        >>> study = read_study(TableOptions(Path("table.qza")), MetadataOptions(Path("metadata.tsv")))
        >>> study.table.n_samples
        160
    """
    files = load_study(table, metadata or MetadataOptions(), phylogeny or PhylogenyOptions(), taxonomy, file, frame)
    files.problems.raise_collected()
    study = study_from_files(files)
    assert study is not None
    return replace(study, frame=frame)


def study_from_files(files: LoadedFiles) -> Study | None:
    """Return the study of loaded files, or None if its table or sequences could not be read."""
    if files.table is None or files.sequences is None:
        return None
    return Study(
        files.table,
        files.sequences,
        files.metadata,
        files.phylogeny,
        files.distances,
        files.taxonomy,
        files.notes,
        files.inputs,
        files.dropped_samples,
    )

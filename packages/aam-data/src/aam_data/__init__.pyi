from .checks.leaks import Leak as Leak
from .checks.leaks import find_leaks as find_leaks
from .errors import DataError as DataError
from .id_matching import (
    Overlap as Overlap,
)
from .id_matching import (
    Suggestion as Suggestion,
)
from .id_matching import (
    closest_transformation as closest_transformation,
)
from .id_matching import (
    overlap_of as overlap_of,
)
from .options.commands import UnifracOptions as UnifracOptions
from .options.files import (
    MetadataOptions as MetadataOptions,
)
from .options.files import (
    PhylogenyOptions as PhylogenyOptions,
)
from .options.files import (
    TableOptions as TableOptions,
)
from .options.metadata_inputs import CategoryOptions as CategoryOptions
from .options.samples import SampleOptions as SampleOptions
from .options.samples import SplitOptions as SplitOptions
from .options.simulate import SimulateOptions as SimulateOptions
from .options.targets import TargetOptions as TargetOptions
from .options.targets import TargetScale as TargetScale
from .preprocessing.categories import CategoryCodec as CategoryCodec
from .preprocessing.categories import CategoryCodes as CategoryCodes
from .preprocessing.category_weights import CategoryWeights as CategoryWeights
from .preprocessing.class_labels import ClassLabels as ClassLabels
from .preprocessing.covariates import Covariates as Covariates
from .preprocessing.covariates import CovariateScaler as CovariateScaler
from .preprocessing.dataset import Sample as Sample
from .preprocessing.dataset import SampleDataset as SampleDataset
from .preprocessing.metadata_inputs import MetadataInputs as MetadataInputs
from .preprocessing.preprocessor import Preprocessor as Preprocessor
from .preprocessing.rarefaction import Rarefier as Rarefier
from .preprocessing.target import TargetSpec as TargetSpec
from .readers.biom.row_access import BiomRows as BiomRows
from .readers.biom.row_access import open_biom_rows as open_biom_rows
from .readers.biom.table import read_table as read_table
from .readers.distances.faith_pd import FaithPD as FaithPD
from .readers.distances.faith_pd import read_faith_pd as read_faith_pd
from .readers.distances.matrix import (
    DistanceFile as DistanceFile,
)
from .readers.distances.matrix import (
    DistanceMatrix as DistanceMatrix,
)
from .readers.distances.matrix import (
    open_distances as open_distances,
)
from .readers.distances.matrix import (
    read_distances as read_distances,
)
from .readers.fasta import read_sequences as read_sequences
from .readers.metadata.metadata import Metadata as Metadata
from .readers.metadata.metadata import read_metadata as read_metadata
from .readers.newick.tree import read_newick as read_newick
from .readers.qiime2 import Provenance as Provenance
from .readers.taxonomy import Taxonomy as Taxonomy
from .readers.taxonomy import read_taxonomy as read_taxonomy
from .sequences import Sequences as Sequences
from .sequences import build_sequences as build_sequences
from .simulate.study import simulate_study as simulate_study
from .simulate.study import write_simulated_study as write_simulated_study
from .splits.splits import (
    Splits as Splits,
)
from .splits.splits import (
    cross_validation as cross_validation,
)
from .splits.splits import (
    read_splits as read_splits,
)
from .splits.splits import (
    split_samples as split_samples,
)
from .splits.strata import strata_of as strata_of
from .study.phylogeny import Phylogeny as Phylogeny
from .study.study import Study as Study
from .study.study import read_study as read_study
from .table import CountTable as CountTable
from .table import SampleCounts as SampleCounts
from .unifrac.pair_targets import MatrixTargets as MatrixTargets
from .unifrac.pair_targets import PairTargets as PairTargets
from .unifrac.pair_targets import TreeTargets as TreeTargets
from .unifrac.unifrac import faith_pd as faith_pd
from .unifrac.unifrac import unifrac_distances as unifrac_distances
from .unifrac.write import write_distances as write_distances
from .unifrac.write import write_faith_pd as write_faith_pd

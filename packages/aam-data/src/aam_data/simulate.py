"""A study with known truth: a tree, 16S-like sequences, communities that answer to an environment, and metadata.

The chain of causes, with every random draw keyed by the seed:

1. A random tree (coalescent point process) whose deepest splits bound the clades.
2. Sequences evolve along it (Kimura's two-parameter model, conserved and variable sites), so relatives look alike.
3. Hosts live at locations and are sampled all year round: degree-days follow from location and day, not from host.
4. Clades rise or fall with the degree-days; hosts and samples add their own noise; ASVs come and go by host.
5. Reads are drawn from the community at a log-normal depth.

Only step 4 links the metadata to the reads, and ``effect`` scales that link: 0 makes every target unpredictable.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from biom.table import Table
from scipy.sparse import csr_matrix

from aam_data.alphabet import decode
from aam_data.config import SimulateOptions
from aam_data.output_files import replacing
from aam_data.readers.newick import NewickTree, format_newick
from aam_data.simulate_tree import evolve_sequences, random_tree
from aam_data.table import CountTable, SampleCounts

LOCATIONS = {"coast": 9.0, "valley": 11.0, "hill": 8.0, "plateau": 10.0}  # mean temperature, degrees Celsius
SEASONS = ("winter", "spring", "summer", "autumn")
STATUSES = ("healthy", "stressed")
YEAR = 365.0
WEATHER_NOISE = 0.08  # sd of the logarithm of degree-days around their formula

# Standard deviations on the logit scale of incidence and on the log scale of abundance.
COMMONNESS_MEAN, COMMONNESS_SD = -6.0, 2.0
CLADE_INCIDENCE, CLADE_ABUNDANCE = 0.7, 0.6  # per standard deviation of degree-days, times slope and effect
HOST_CLADE_SD, HOST_ASV_SD, SAMPLE_CLADE_SD = 0.3, 3.5, 0.3
ABUNDANCE_SD, SAMPLE_ASV_SD = 1.0, 1.0
DEPTH_SD = 0.4
_BLOCK_CELLS = 4_000_000  # samples times ASVs worked on at once; bounds memory


@dataclass(frozen=True, eq=False)
class SimulatedStudy:
    """What was simulated.

    Attributes:
        table: reads; feature ids are the sequences of the ASVs that were observed at least once.
        tree: the tree of all ASVs, tips named by sequence, lengths in substitutions per site.
        metadata: one row a sample, indexed by ``sample-id``, in the table's order.
        truth: what generated what, ready for JSON.
    """

    table: CountTable
    tree: NewickTree
    metadata: pd.DataFrame
    truth: dict[str, Any]


def simulate_study(options: SimulateOptions) -> SimulatedStudy:
    """The study of these options; the same options give the same study."""
    seeds = np.random.SeedSequence(options.seed).spawn(5)
    tree_rng, sequence_rng, metadata_rng, clade_rng, reads_rng = map(np.random.default_rng, seeds)
    n_clades = int(np.clip(options.asvs // 40, 2, 64))
    parent, length, tips, clade = random_tree(options.asvs, n_clades, tree_rng)
    codes = evolve_sequences(parent, length, tips, options.bases, sequence_rng)
    letters = decode(codes.ravel())
    names = np.array([letters[i : i + options.bases] for i in range(0, codes.size, options.bases)], dtype=object)
    metadata, warmth = _metadata(options, metadata_rng)
    slopes = _slopes(n_clades, clade_rng)
    data = _reads(options, clade, options.effect * slopes, warmth, clade_rng, reads_rng)

    observed = np.bincount(data.indices, minlength=options.asvs) > 0
    renumbered = (np.cumsum(observed) - 1).astype(np.int32)
    data = data._replace(indices=renumbered[data.indices])
    table = CountTable(metadata.index.to_numpy(dtype=object), names[observed], data)
    metadata["depth"] = table.depths()
    truth = {
        "options": asdict(options),
        "formulas": _FORMULAS,
        "clades": [
            {"slope": round(float(slope), 6), "asvs": names[clade == k].tolist()} for k, slope in enumerate(slopes)
        ],
        "degree_days": _target_truth(metadata["degree_days"].to_numpy(), warmth),
        "observed_asvs": int(observed.sum()),
    }
    return SimulatedStudy(table, NewickTree(parent, length, names, tips), metadata, truth)


_FORMULAS = {
    "expected_degree_days": "t * (day - 365 / (2 pi) * sin(2 pi day / 365)), t = mean temperature of the location",
    "degree_days": f"expected_degree_days * exp({WEATHER_NOISE} z), z standard normal",
    "warmth": "expected_degree_days, centred and scaled to variance 1 over the study's samples",
    "status": "stressed with probability 1 / (1 + exp(-3 warmth))",
    "incidence": f"logit p = commonness + {CLADE_INCIDENCE} effect slope warmth + host, clade and ASV effects",
    "abundance": f"log a = mean + {CLADE_ABUNDANCE} effect slope warmth + host, clade and ASV effects",
}


def _metadata(options: SimulateOptions, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """Metadata without depth, and the warmth that drives communities, float64 [B]."""
    sample = np.arange(options.samples)
    host = sample * options.hosts // options.samples  # consecutive samples share a host
    first = np.searchsorted(host, np.arange(options.hosts))
    of_host = np.bincount(host, minlength=options.hosts)[host]
    # A host's samples are spread over the year, so that knowing the host says nothing about the day.
    day = YEAR * ((sample - first[host] + rng.random(options.samples)) / of_host + rng.random(options.hosts)[host])
    day %= YEAR
    location = rng.permutation(np.arange(options.hosts) % len(LOCATIONS))[host]
    temperature = np.array(list(LOCATIONS.values()))[location]
    expected = temperature * (day - YEAR / (2 * np.pi) * np.sin(2 * np.pi * day / YEAR))
    warmth = (expected - expected.mean()) / expected.std()
    degree_days = expected * np.exp(WEATHER_NOISE * rng.standard_normal(options.samples))
    stressed = rng.random(options.samples) < 1 / (1 + np.exp(-3 * warmth))
    season = (day / YEAR * len(SEASONS)).astype(np.int64)
    frame = pd.DataFrame(
        {
            "host": _ids("H", host, options.hosts),
            "location": np.array(list(LOCATIONS), dtype=object)[location],
            "season": np.array(SEASONS, dtype=object)[season],
            "degree_days": degree_days.round(2),
            "status": np.array(STATUSES, dtype=object)[stressed.astype(np.int64)],
        },
        index=pd.Index(_ids("S", sample, options.samples), name="sample-id", dtype=object),
    )
    return frame, warmth


def _ids(prefix: str, number: np.ndarray, count: int) -> np.ndarray:
    """``S001`` and so on, wide enough for ``count`` of them."""
    width = len(str(count))
    return np.array([f"{prefix}{value + 1:0{width}d}" for value in number.tolist()], dtype=object)


def _slopes(n_clades: int, rng: np.random.Generator) -> np.ndarray:
    """Answer of each clade to warmth, [K]: half of them rise, half fall, none is indifferent."""
    sign = np.where(rng.permutation(n_clades) % 2 == 0, 1.0, -1.0)
    return sign * rng.uniform(0.7, 1.3, n_clades)


def _reads(
    options: SimulateOptions,
    clade: np.ndarray,
    slopes: np.ndarray,
    warmth: np.ndarray,
    clade_rng: np.random.Generator,
    rng: np.random.Generator,
) -> SampleCounts:
    """Counts over all ASVs, drawn host by host in blocks of bounded size."""
    n_asvs, n_clades = options.asvs, len(slopes)
    commonness = COMMONNESS_MEAN + COMMONNESS_SD * clade_rng.standard_normal(n_asvs)
    abundance = ABUNDANCE_SD * clade_rng.standard_normal(n_asvs)
    host = np.arange(options.samples) * options.hosts // options.samples
    hosts_at_once = max(1, _BLOCK_CELLS // n_asvs * options.hosts // options.samples)
    parts = []
    for start in range(0, options.hosts, hosts_at_once):
        rows = slice(*np.searchsorted(host, [start, start + hosts_at_once]))
        local, warm = host[rows] - start, warmth[rows, None]
        n_hosts, n_rows = int(local[-1]) + 1, len(local)
        host_clade = HOST_CLADE_SD * rng.standard_normal((n_hosts, n_clades))
        host_asv = HOST_ASV_SD * rng.standard_normal((n_hosts, n_asvs))
        noise = SAMPLE_CLADE_SD * rng.standard_normal((n_rows, n_clades))
        in_clade = host_clade[local] + noise
        logit = commonness + host_asv[local] + (CLADE_INCIDENCE * slopes * warm + in_clade)[:, clade]
        present = rng.random((n_rows, n_asvs)) < 1 / (1 + np.exp(-logit))
        present[np.arange(n_rows), logit.argmax(axis=1)] = True  # no sample is empty
        log_share = abundance + (CLADE_ABUNDANCE * slopes * warm + in_clade)[:, clade]
        log_share += SAMPLE_ASV_SD * rng.standard_normal((n_rows, n_asvs))
        share = np.where(present, np.exp(log_share), 0.0)
        share /= share.sum(axis=1, keepdims=True)
        depth = np.maximum(1, np.rint(options.depth * np.exp(DEPTH_SD * rng.standard_normal(n_rows))))
        counts = rng.multinomial(depth.astype(np.int64), share)
        row, column = np.nonzero(counts)
        parts.append((np.bincount(row, minlength=n_rows), column.astype(np.int32), counts[row, column]))
    lengths, indices, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return SampleCounts(indptr, indices, values.astype(np.int32))


def _target_truth(degree_days: np.ndarray, warmth: np.ndarray) -> dict[str, float]:
    """Noise of the target, and the R2 of someone who knows the warmth of every sample exactly."""
    slope, intercept = np.polyfit(warmth, degree_days, 1)
    noise = degree_days - (intercept + slope * warmth)
    return {
        "mean": float(degree_days.mean()),
        "sd": float(degree_days.std()),
        "noise_sd": float(noise.std()),
        "r2_ceiling": float(1 - noise.var() / degree_days.var()),
    }


def write_simulated_study(study: SimulatedStudy, directory: Path) -> None:
    """Write table.biom, tree.nwk, rep-seqs.fasta, metadata.tsv and truth.json into ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    table, data = study.table, study.table.data
    matrix = csr_matrix((data.counts, data.indices, data.indptr), (table.n_samples, table.n_features))
    with replacing(directory / "table.biom") as path, h5py.File(path, "w") as file:
        biom = Table(matrix.T.tocsr(), table.feature_ids, table.sample_ids, type="OTU table")
        biom.to_hdf5(file, "aam-data", creation_date=datetime(2000, 1, 1))  # the same study is the same bytes
    with replacing(directory / "tree.nwk") as path:
        path.write_text(format_newick(study.tree) + "\n", encoding="ascii")
    with replacing(directory / "rep-seqs.fasta") as path:
        path.write_text("".join(f">{name}\n{name}\n" for name in study.tree.tip_names), encoding="ascii")
    with replacing(directory / "metadata.tsv") as path:
        study.metadata.to_csv(path, sep="\t", lineterminator="\n", encoding="utf-8")
    with replacing(directory / "truth.json") as path:
        path.write_text(json.dumps(study.truth, indent=1) + "\n", encoding="ascii")

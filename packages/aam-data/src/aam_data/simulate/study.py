"""Simulation of a study with known effects: a tree, 16S-like sequences, communities, and metadata.

The causal chain, with every random draw keyed by the seed:

1. A random tree (coalescent point process) whose deepest splits bound the clades.
2. Sequences evolve along it (Kimura's two-parameter model, conserved and variable sites), so relatives are similar.
3. Hosts live at locations and are sampled all year round: degree-days follow from location and day, not from host.
4. Clades rise or fall with the degree-days and, optionally, with the host's age, the location and the extraction
   plate; hosts and samples add noise; hosts differ in their ASVs.
5. Reads are drawn from the community at a log-normal depth.

Only step 4 links the metadata to the reads, and ``effect`` and similar options scale that link: 0 makes targets
unpredictable. Samples are drawn in blocks, so a study of any number of samples can be written in bounded memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from aam_data.alphabet import decode
from aam_data.options.simulate import SimulateOptions
from aam_data.readers.newick.tip_names import TipNames
from aam_data.readers.newick.tree import NewickTree, format_newick
from aam_data.simulate.community import CladeEffects, VarianceSums, draw_effects, draw_reads
from aam_data.simulate.design import StudyDesign, design_study
from aam_data.simulate.metadata import SimulatedMetadata
from aam_data.simulate.tree import evolve_sequences, random_tree
from aam_data.simulate.truth import study_truth
from aam_data.table import CountTable, SampleCounts
from aam_data.writers.atomic import atomic_write
from aam_data.writers.biom import BiomWriter

_ROWS = 50_000  # rows of metadata in memory as text at once
OnProgress = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class SimulatedStudy:
    """A simulated study.

    Attributes:
        table: reads; feature ids are the sequences of the ASVs that were observed at least once.
        tree: the tree of all ASVs, tips named by sequence, lengths in substitutions per site.
        metadata: one row per sample, indexed by ``sample-id``, in the table's order, as in the file.
        truth: the effects that generated the data, in a form that JSON can store.
    """

    table: CountTable
    tree: NewickTree
    metadata: pd.DataFrame
    truth: dict[str, Any]


class _Plan:
    """A study before its reads are drawn. ``blocks`` may be used only once."""

    def __init__(self, options: SimulateOptions) -> None:
        seeds = np.random.SeedSequence(options.seed).spawn(10)
        tree_rng, sequence_rng, metadata_rng, clade_rng, reads_rng, *others = map(np.random.default_rng, seeds)
        cell_rng, lab_rng, effect_rng, niche_rng, gap_rng = others
        self.options = options
        n_clades = int(np.clip(options.asvs // 40, 2, 64))
        parent, length, tips, self.clade = random_tree(options.asvs, n_clades, tree_rng)
        codes = evolve_sequences(parent, length, tips, options.bases, sequence_rng)
        letters = decode(codes.ravel())
        self.names = np.array(
            [letters[i : i + options.bases] for i in range(0, codes.size, options.bases)], dtype=object
        )
        self.tree = NewickTree(parent, length, TipNames.from_names(self.names), tips)
        self.design: StudyDesign = design_study(options, metadata_rng, cell_rng, lab_rng)
        self.metadata = SimulatedMetadata(options, self.design, gap_rng)
        self.effects: CladeEffects = draw_effects(options, n_clades, clade_rng, effect_rng)
        self.variance = VarianceSums()
        self._rngs = (clade_rng, reads_rng, niche_rng)

    def blocks(self) -> Iterator[SampleCounts]:
        """Yield reads over all ASVs."""
        return draw_reads(self.options, self.design, self.clade, self.effects, self._rngs, self.variance)

    def truth(self, observed_asvs: int) -> dict[str, Any]:
        """Return the content of truth.json, after the last block."""
        clades = [self.names[self.clade == k].tolist() for k in range(self.effects.n_clades)]
        return study_truth(self.options, self.design, self.effects, self.metadata, clades, self.variance, observed_asvs)


def simulate_study(options: SimulateOptions) -> SimulatedStudy:
    """Simulate a study in memory; equal options always produce the same study.

    Args:
        options: size of the study and strengths of the effects.

    Returns:
        Table, tree, metadata and truth.

    Example:
        >>> study = simulate_study(SimulateOptions(samples=40, asvs=100))
        >>> write_simulated_study(study, Path("study"))
    """
    plan = _Plan(options)
    blocks = list(plan.blocks())
    indptr = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(block.indptr) for block in blocks]))])
    indices, counts = (np.concatenate([block[part] for block in blocks]) for part in (1, 2))
    observed = np.bincount(indices, minlength=options.asvs) > 0
    data = SampleCounts(indptr, (np.cumsum(observed) - 1).astype(np.int32)[indices], counts)
    everything = slice(0, options.samples)
    table = CountTable(plan.metadata.sample_ids(everything), plan.names[observed], data)
    frame = plan.metadata.frame(everything, table.depths())
    return SimulatedStudy(table, plan.tree, frame, plan.truth(table.n_features))


def write_simulated_study(study: SimulatedStudy, directory: Path) -> None:
    """Write table.biom, tree.nwk, rep-seqs.fasta, metadata.tsv and truth.json into ``directory``.

    Args:
        study: as returned by ``simulate_study``.
        directory: made if it does not exist.

    Example:
        >>> write_simulated_study(simulate_study(SimulateOptions(samples=24)), Path("study"))
    """
    directory.mkdir(parents=True, exist_ok=True)
    table = study.table
    with atomic_write(directory / "table.biom") as path, BiomWriter(path, table.n_features) as writer:
        writer.append(table.data)
        writer.finish([table.sample_ids], table.feature_ids)
    _write_tree(study.tree, directory)
    _write_metadata([study.metadata], directory)
    _write_truth(study.truth, directory)


def run_simulate(
    options: SimulateOptions, directory: Path, progress: OnProgress = lambda samples: None
) -> tuple[int, int]:
    """Write the same files as ``write_simulated_study``, with memory that hardly depends on the number of samples.

    Args:
        options: size of the study and strengths of the effects.
        directory: folder for the files; created if necessary.
        progress: callback after every block, with the number of finished samples.

    Returns:
        Numbers of samples and of observed ASVs.
    """
    directory.mkdir(parents=True, exist_ok=True)
    plan = _Plan(options)
    depth = np.zeros(options.samples, dtype=np.int64)
    ranges = [slice(low, min(low + _ROWS, options.samples)) for low in range(0, options.samples, _ROWS)]
    done = 0
    with atomic_write(directory / "table.biom") as path, BiomWriter(path, options.asvs) as writer:
        for block in plan.blocks():
            writer.append(block)
            depth[done : done + block.n_samples] = np.add.reduceat(block.counts, block.indptr[:-1], dtype=np.int64)
            done += block.n_samples
            progress(done)
        ids = (plan.metadata.sample_ids(rows) for rows in ranges)
        n_features = writer.finish(ids, plan.names)
    _write_tree(plan.tree, directory)
    _write_metadata((plan.metadata.frame(rows, depth) for rows in ranges), directory)
    _write_truth(plan.truth(n_features), directory)
    return options.samples, n_features


def _write_tree(tree: NewickTree, directory: Path) -> None:
    with atomic_write(directory / "tree.nwk") as path:
        path.write_text(format_newick(tree) + "\n", encoding="ascii")
    with atomic_write(directory / "rep-seqs.fasta") as path, path.open("w", encoding="ascii") as file:
        file.writelines(f">{name}\n{name}\n" for name in tree.tip_names)


def _write_metadata(frames: Iterable[pd.DataFrame], directory: Path) -> None:
    with atomic_write(directory / "metadata.tsv") as path, path.open("w", encoding="utf-8", newline="") as file:
        for number, frame in enumerate(frames):
            frame.to_csv(file, sep="\t", header=number == 0, lineterminator="\n")


def _write_truth(truth: dict[str, Any], directory: Path) -> None:
    with atomic_write(directory / "truth.json") as path:
        path.write_text(json.dumps(truth, indent=1) + "\n", encoding="ascii")

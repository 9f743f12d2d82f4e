"""Tables whose reads start elsewhere, brought into the frame of gut-corpus: offsets, refusals, time and embeddings.

The frame is that of the reads of gut-corpus (V4 from 515F, 150 bases); the tables are udca, changed as sequencing and
trimming change reads, tadpole, whose reads have primers, and simulated reads of other regions of the 16S gene. With
`--encoder FOLDER`, or an encoder with random weights, the embeddings of samples of the changed tables, in the frame and
not, are compared with those of udca as it is: r of all numbers of the embeddings without their means, and the root mean
square move of a sample over the spread of the samples. A minute with random weights.

    python benchmarks/frame.py --json frame.json
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from machine import DATA, finish

from aam_data.alphabet import BASES
from aam_data.errors import DataError
from aam_data.options.files import TableOptions
from aam_data.options.samples import SampleOptions
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.preprocessing.rarefaction import Rarefier
from aam_data.study.canonical_order import canonical_features
from aam_data.study.feature_sequences import FeatureSequences
from aam_data.study.frame.bring import bring_into_frame
from aam_data.study.frame.fit import fit_frame
from aam_data.study.frame.frame import Frame
from aam_data.study.frame.gene import GENE
from aam_data.study.frame.reads import Reads
from aam_data.study.frame.search import find_placements
from aam_data.study.orientation import reverse_complement
from aam_data.study.study import Study, read_study
from aam_data.table import CountTable
from aam_models.build import build_encoder
from aam_models.config.encoder import ModelOptions
from aam_models.encoder.encoder import Encoder
from aam_models.predictor.predictor import Predictor
from aam_models.requested import EMBEDDINGS
from aam_models.storage.model_folder import load_model
from aam_train.data.run_data import build_maker
from aam_train.engine.step import Step
from aam_train.evaluation.inference import run_samples
from aam_train.runs.checkpoints import model_folder
from aam_train.setup.architecture import new_encoder_config

BASES_READ, SAMPLES, MANY = 150, 60, 100_000
PRIMER = "GTGYCAGCMGCCGCGGTAA"  # 515F
AMBIGUOUS = {"Y": "CT", "M": "AC"}
OTHER_REGIONS = {"V1-V2 from 27F": 28, "V3 from 341F": 358, "V5-V6 from 799F": 800, "V7 from 1100F": 1115}
Change = Callable[[bytes, np.random.Generator], bytes]


def random_bases(n: int, random: np.random.Generator) -> bytes:
    return "".join(random.choice(list(BASES), n)).encode()


def with_primer(sequence: bytes, random: np.random.Generator) -> bytes:
    """Put the primer in front, with one of its bases where it has several."""
    letters = (str(random.choice(list(AMBIGUOUS.get(letter, letter)))) for letter in PRIMER)
    return "".join(letters).encode() + sequence


# how reads are changed, and the placement that each of them should have
CHANGES: dict[str, tuple[Change, tuple[bool, int]]] = {
    "as they are": (lambda s, _: s, (False, 0)),
    "1 base later": (lambda s, _: s[1:], (False, 1)),
    "5 bases later": (lambda s, _: s[5:], (False, 5)),
    "19 bases later": (lambda s, _: s[19:], (False, 19)),
    "reverse complement": (lambda s, _: reverse_complement(s), (True, 0)),
    "primer in front": (with_primer, (False, -19)),
    "8 random bases in front": (lambda s, r: random_bases(8, r) + s, (False, -8)),
    "16 random bases and primer": (lambda s, r: random_bases(16, r) + with_primer(s, r), (False, -35)),
    "cut to 100 bases": (lambda s, _: s[:100], (False, 0)),
    "later, cut and turned": (lambda s, _: reverse_complement(s[5:105]), (True, 5)),
}


def letters_of(study: Study) -> list[bytes]:
    return [study.sequences.text(i).encode() for i in range(len(study.sequences))]


def other_region(start: int, random: np.random.Generator) -> list[bytes]:
    """Simulate 1,000 reads from base ``start`` of the gene of E. coli with a fifth of the bases replaced."""
    gene = np.frombuffer(GENE[start - 1 : start - 1 + BASES_READ].encode(), dtype=np.uint8)
    reads = np.tile(gene, (1000, 1))
    replaced = random.random(reads.shape) < 0.2
    reads[replaced] = random.choice(np.frombuffer(BASES.encode(), dtype=np.uint8), int(replaced.sum()))
    return [read.tobytes() for read in reads]


def seconds_for_many(letters: list[bytes], frame: Frame, turned: bool, random: np.random.Generator) -> float:
    """Time the search for 100,000 sequences: those of the table with random substitutions."""
    chosen = random.integers(0, len(letters), MANY)
    many = [letters[i] for i in chosen.tolist()]
    reads = Reads.encode(many, random.pareto(1.0, MANY) + 1)
    replaced = (random.random(reads.codes.shape) < 0.03) & (reads.codes > 0)
    reads.codes[replaced] = random.integers(1, 5, int(replaced.sum()))
    reads = reads.turned if turned else reads
    reads = Reads(reads.codes, reads.lengths, reads.weights)
    started = time.perf_counter()
    find_placements(reads, frame)
    return time.perf_counter() - started


def share_right(letters: list[bytes], reads: np.ndarray, frame: Frame, expected: tuple[bool, int]) -> float:
    """Return the share of reads in sequences with the expected placement."""
    found = find_placements(Reads.encode(letters, reads), frame)
    return sum(share for one, share in zip(found.placements, found.shares, strict=True) if tuple(one) == expected)


def embeddings(table: CountTable, letters: list[bytes], frame: Frame | None, step: Step) -> np.ndarray:
    """Embed the samples of a table with these sequences, float32 [B, D]."""
    options = TableOptions(Path("udca"))
    known = FeatureSequences(list(letters), ())
    counts, sequences, _ = canonical_features(table, known, options, frame)
    study = Study(counts, sequences, frame=frame)
    rows = np.arange(counts.n_samples)
    sample = SampleOptions(max_bp=BASES_READ, max_asvs=1024)
    preprocessor = Preprocessor.fit(study, rows, sample, trim_length=0, rarefy_depth=0, seed=0)
    maker = build_maker(study, Rarefier(counts, 0, 0), preprocessor, 256)
    found = run_samples(step, maker, rows, 16, EMBEDDINGS).embeddings
    assert found is not None
    return found


def compared(changed: np.ndarray, original: np.ndarray) -> tuple[float, float]:
    """Return r without the means, and the root mean square move over the spread of the samples."""
    a, b = (x - x.mean(axis=0) for x in (changed, original))
    move = np.sqrt(((changed - original) ** 2).sum(axis=1).mean())
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())), float(move / np.sqrt((b**2).sum(axis=1).mean()))


def encoder_of(path: Path | None) -> Encoder:
    if path is None:
        torch.manual_seed(0)
        return build_encoder(new_encoder_config(ModelOptions("tiny"), BASES_READ, {}))
    model = load_model(model_folder(path))
    return model.encoder if isinstance(model, Predictor) else model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, help="model or run folder; default: random weights")
    parser.add_argument("--json", type=Path, help="also write the results to this JSON file")
    options = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"{DATA} does not exist: nothing to measure")
    random = np.random.default_rng(0)
    corpus = read_study(TableOptions(DATA / "gut-corpus" / "table.biom"))
    frame = fit_frame(corpus.sequences, corpus.table.reads_per_feature(), BASES_READ)
    print(f"frame of gut-corpus: {frame.describe()}, {frame.information:.2f} nats a base, {len(frame.words)} words")
    udca = read_study(TableOptions(DATA / "udca" / "table.qza", DATA / "udca" / "rep-seqs.qza"))
    letters, reads = letters_of(udca), udca.table.reads_per_feature()
    few = udca.table.take_samples(np.arange(0, udca.table.n_samples, udca.table.n_samples // SAMPLES))
    step = Step(encoder_of(options.encoder), torch.device("cpu"))
    original = embeddings(few, letters, None, step)
    report: dict[str, dict[str, float]] = {}
    print(f"{'udca':28}{'right':>8}{'r, in frame':>13}{'move':>7}{'r, as is':>10}{'move':>7}")
    for name, (change, expected) in CHANGES.items():
        changed = [change(sequence, random) for sequence in letters]
        right = share_right(changed, reads, frame, expected)
        r, move = compared(embeddings(few, changed, frame, step), original)
        r_as_is, move_as_is = compared(embeddings(few, changed, None, step), original)
        report[name] = {"right": right, "r": r, "move": move, "r_ignored": r_as_is, "move_ignored": move_as_is}
        print(f"{name:28}{right:8.2%}{r:13.3f}{move:7.2f}{r_as_is:10.3f}{move_as_is:7.2f}", flush=True)
    mixed = [CHANGES[list(CHANGES)[i % 5]][0](sequence, random) for i, sequence in enumerate(letters)]
    found = find_placements(Reads.encode(mixed, reads), frame)
    print(f"the first five mixed: {len(found.placements)} placements hold {found.fitting:.2%} of the reads")
    report["mixed"] = {"placements": len(found.placements), "fitting": found.fitting}
    report["seconds"] = seconds = {
        f"100,000 sequences{', turned' if turned else ''}": seconds_for_many(letters, frame, turned, random)
        for turned in (False, True)
    }
    print(", ".join(f"{name}: {value:.2f} s" for name, value in seconds.items()))
    tadpole = read_study(TableOptions(DATA / "tadpole" / "table.qza", DATA / "tadpole" / "rep-seqs.qza"))
    weights = tadpole.table.reads_per_feature()
    found = find_placements(Reads.encode(letters_of(tadpole), weights), frame)
    print(
        f"tadpole: offset {-found.placements[0].offset} for {found.shares[0]:.1%} of the reads (another gene: the rest)"
    )
    report["tadpole"] = {"offset": -found.placements[0].offset, "share": found.shares[0]}
    for name, start in OTHER_REGIONS.items():
        try:
            bring_into_frame(other_region(start, random), np.ones(1000), replace(frame))
            raise SystemExit(f"{name} was not refused")
        except DataError as error:
            print(f"{name}: {error}")
    finish(report, options.json)


if __name__ == "__main__":
    main()

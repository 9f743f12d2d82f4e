"""Batches and models for the tests, made with numpy and torch alone."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

import numpy as np
import pytest
import torch
from torch import Tensor

from aam_models.batch.batch import Batch, Chunk, PaddedGroup
from aam_models.build import build_encoder, build_predictor
from aam_models.config.encoder import Alphabet, EncoderConfig
from aam_models.config.predictor import PredictorConfig
from aam_models.encoder.encoder import Encoder
from aam_models.predictor.predictor import Predictor

LETTERS = {"-": 0, "A": 1, "C": 2, "G": 3, "T": 4, "N": 7}  # - is a position in front of the first base
START, MASK = 5, 6
Gradients = dict[str, Tensor]


def key_of(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def _batch_of(
    samples: list[dict[str, float]],
    *,
    chunk_size: int = 0,
    by_length: bool = False,
    always_masked: bool = False,
    mask_ratio: float = 0.0,
    hide_ratio: float = 0.0,
    spare_slots: int = 0,
    n_groups: int = 1,
    dtype: torch.dtype = torch.float64,
) -> Batch:
    """A batch of samples, each a mapping from sequence to reads.

    Args:
        chunk_size: most ASVs of a chunk, 0 = no limit.
        by_length: a chunk ends where the length changes, so that every chunk is uniform.
        always_masked: uniform chunks take the path with an attention mask too.
        mask_ratio, hide_ratio: of bases and of counts.
        spare_slots: empty slots beyond the longest sample of each group.
        n_groups: of samples of similar size.
    """
    distinct = sorted({sequence for sample in samples for sequence in sample}, key=lambda s: (len(s), s))
    place = {sequence: row for row, sequence in enumerate(distinct)}
    lengths = np.array([1 + len(sequence) for sequence in distinct], dtype=np.int32)
    tokens = np.zeros((len(distinct), lengths.max()), dtype=np.uint8)
    for row, sequence in enumerate(distinct):
        tokens[row, : lengths[row]] = [START, *(LETTERS[letter] for letter in sequence)]

    gaps = np.array([sequence.startswith("-") for sequence in distinct])
    rows, columns = _masked(distinct, mask_ratio)
    bases = tokens[rows, columns].astype(np.int64) - 1
    tokens[rows, columns] = MASK

    hidden = None
    if hide_ratio:
        draws = [np.random.default_rng([i, key_of(s)]).random() for i, sample in enumerate(samples) for s in sample]
        hidden = torch.tensor(draws) < hide_ratio

    pointers = np.concatenate([[0], np.cumsum([len(sample) for sample in samples])])
    sizes = np.diff(pointers)
    # each group's samples one after the other, padded to the largest of them
    order = np.argsort(-sizes, kind="stable") if n_groups > 1 else np.arange(len(samples))
    slots, groups = [], []
    for members in np.array_split(order, n_groups):
        longest = int(sizes[members].max()) + spare_slots
        groups.append(PaddedGroup(len(members), longest))
        for sample in members:
            own = np.arange(pointers[sample], pointers[sample + 1])
            slots += [*own, *[pointers[-1]] * (longest - len(own))]
    slots = np.array(slots)

    return Batch(
        tokens=torch.from_numpy(tokens),
        lengths=torch.from_numpy(lengths),
        asv_index=torch.tensor([place[sequence] for sample in samples for sequence in sample]),
        sample_ptr=torch.from_numpy(pointers),
        sample_of=torch.from_numpy(np.repeat(np.arange(len(samples)), sizes)),
        groups=tuple(groups),
        slots=torch.from_numpy(slots),
        slot_of=torch.from_numpy(np.argsort(slots, kind="stable")[: pointers[-1]]),
        order=torch.from_numpy(np.argsort(order)),
        counts=torch.tensor([reads for sample in samples for reads in sample.values()], dtype=dtype),
        asv_rows=torch.arange(len(distinct)),
        sample_keys=torch.stack([torch.zeros(len(samples), dtype=torch.int64), torch.arange(len(samples))], dim=1),
        draw=1,
        chunks=_chunks(lengths, rows, chunk_size or len(distinct), by_length, always_masked, gaps),
        masked_rows=torch.from_numpy(rows),
        masked_columns=torch.from_numpy(columns),
        masked_bases=torch.from_numpy(bases),
        hidden_counts=hidden,
    )


def _masked(sequences: list[str], ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Masked rows and columns of each sequence, int64 [M]: a function of the sequence, not of the batch around it."""
    rows, columns = [], []
    for row, sequence in enumerate(sequences if ratio else ()):
        bases = [column for column, letter in enumerate(sequence, 1) if letter in "ACGT"]
        n_masked = min(max(round(ratio * len(bases)), 1), len(bases))
        columns += sorted(np.random.default_rng(key_of(sequence)).choice(bases, n_masked, replace=False).tolist())
        rows += [row] * n_masked
    return np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)


def _chunks(
    lengths: np.ndarray, masked_rows: np.ndarray, size: int, by_length: bool, always_masked: bool, gaps: np.ndarray
) -> tuple[Chunk, ...]:
    chunks, start = [], 0
    while start < len(lengths):
        stop = min(start + size, len(lengths))
        if by_length:
            stop = min(stop, int((lengths <= lengths[start]).sum()))
        uniform = bool(lengths[start] == lengths[stop - 1]) and not always_masked and not gaps[start:stop].any()
        first, last = int((masked_rows < start).sum()), int((masked_rows < stop).sum())
        chunks.append(Chunk(start, stop, int(lengths[stop - 1]), uniform, first, last))
        start = stop
    return tuple(chunks)


def _random_samples(sizes: tuple[int, ...], lengths: tuple[int, ...], seed: int = 0) -> list[dict[str, float]]:
    """Samples of the given sizes from a pool in which some ASVs are shared; sequences of the given lengths."""
    random = np.random.default_rng(seed)
    pool = ["".join(random.choice(list("ACGTACGTACGTN"), random.choice(lengths))) for _ in range(2 * max(sizes))]
    pool = sorted(set(pool))
    return [
        {pool[i]: float(random.geometric(0.05)) for i in random.choice(len(pool), size, replace=False)}
        for size in sizes
    ]


def _model_of(config: EncoderConfig | PredictorConfig, seed: int = 0) -> Encoder | Predictor:
    """A float64 model whose weights are all random, also those that start at zero."""
    generator = torch.Generator().manual_seed(seed)
    model = (build_predictor(config) if isinstance(config, PredictorConfig) else build_encoder(config)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_((1.0 if parameter.dim() == 0 else 0.3) * noise)
    return model


def _outputs_and_gradients(encoder: Encoder, batch: Batch) -> tuple[dict[str, Tensor], Gradients]:
    """All outputs of an encoder, and the gradients of a loss that does not depend on the order of anything."""
    encoded = encoder(batch)
    outputs = {"samples": encoded.sample_embeddings, "asvs": encoded.asv_embeddings}
    if "nucleotides" in encoded.predictions:
        outputs["nucleotides"] = encoded.predictions["nucleotides"]
    if "counts" in encoded.predictions:
        outputs["counts"] = encoded.predictions["counts"]
    if "faith_pd" in encoded.predictions:
        outputs["faith_pd"] = encoded.predictions["faith_pd"]
    if encoder.head("unifrac") is not None:
        i, j = torch.triu_indices(batch.n_samples, batch.n_samples, offset=1)
        outputs["distances"] = encoder.distance_head(encoded.sample_embeddings[i], encoded.sample_embeddings[j])
    loss = torch.stack([(name != "asvs") * output.sin().sum() for name, output in outputs.items()]).sum()
    parameters = dict(encoder.named_parameters())
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    reached = {name: gradient for name, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
    return {name: output.detach() for name, output in outputs.items()}, reached


def _assert_same(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


@pytest.fixture(scope="session")
def alphabet() -> Alphabet:
    return Alphabet(pad=0, first_base=1, n_bases=4, start=START, mask=MASK, size=8)


@pytest.fixture(scope="session")
def config(alphabet: Alphabet) -> EncoderConfig:
    """A small encoder with every head."""
    return EncoderConfig(
        alphabet,
        max_bp=20,
        width=12,
        heads=3,
        asv_layers=2,
        sample_layers=2,
        objectives=("unifrac", "faith_pd", "nucleotides", "counts"),
    )


@pytest.fixture(scope="session")
def batch_of() -> Callable[..., Batch]:
    return _batch_of


@pytest.fixture(scope="session")
def random_samples() -> Callable[..., list[dict[str, float]]]:
    return _random_samples


@pytest.fixture(scope="session")
def model_of() -> Callable[..., Encoder | Predictor]:
    return _model_of


@pytest.fixture(scope="session")
def outputs_and_gradients() -> Callable[[Encoder, Batch], tuple[dict[str, Tensor], Gradients]]:
    return _outputs_and_gradients


@pytest.fixture(scope="session")
def assert_same() -> Callable[[dict[str, Tensor], dict[str, Tensor]], None]:
    return _assert_same

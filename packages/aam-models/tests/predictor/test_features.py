"""Wide features of samples, against kernels and means computed by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from aam_models.batch.batch import EncoderOutput
from aam_models.build import build_predictor
from aam_models.config.conditioning import CategoryConfig, ConditioningConfig, FusionConfig
from aam_models.config.encoder import EncoderConfig
from aam_models.config.features import FeaturesConfig
from aam_models.config.predictor import PredictorConfig
from aam_models.errors import ModelError
from aam_models.predictor.conditioning.conditions import Conditions
from aam_models.predictor.features.kernel_means import FourierFeatures
from aam_models.predictor.features.nearest_reads import NearestReads
from aam_models.predictor.features.sample_features import SampleFeatures
from aam_models.predictor.heads.linear import LinearHead
from aam_models.storage.config_json import FORMAT_VERSION, config_from_json, config_to_json
from aam_models.storage.folders import new_folder
from aam_models.storage.model_folder import load_model, save_model

SAMPLES = [{"ACGTAC": 4.0, "ACGTNA": 1.0, "TTGC": 4.0}, {"TTGC": 2.0}, {"ACGTAC": 9.0, "GGGGGGG": 16.0}]
ABSENT = {"width": 0, "heads": 0, "asv_layers": 0, "sample_layers": 0, "objectives": (), "asv_encoder": "none"}


def absent(config: EncoderConfig) -> EncoderConfig:
    return replace(config, **ABSENT)


def probe(encoder: EncoderConfig, **more) -> PredictorConfig:
    features = FeaturesConfig(8, 2, 0 if encoder.is_absent else 1)
    options = {"out_width": 3, "layer_norm": False, "head_kind": "linear", "features": features}
    return PredictorConfig(encoder, **(options | more))


def drawn(features: SampleFeatures) -> SampleFeatures:
    """Features with random directions and a centre that is not 0."""
    random = torch.Generator().manual_seed(1)
    for each in (features.of_bases, features.of_embeddings):
        if each is not None:
            centre = torch.rand(each.centre.shape, generator=random)
            each.set(centre, torch.linspace(1.0, 2.0, each.bandwidths), random)
    return features


def one_hot(sequence: str, max_bp: int) -> tuple[np.ndarray, np.ndarray]:
    bases = np.zeros((max_bp, 4))
    for position, letter in enumerate(sequence):
        if letter in "ACGT":
            bases[position, "ACGT".index(letter)] = 1
    return bases.ravel(), np.repeat(bases.sum(axis=1), 4)


@pytest.mark.parametrize("n_inputs", [5, 300])
def test_products_of_fourier_features_are_gaussian_kernels(n_inputs: int) -> None:
    features = FourierFeatures(n_inputs, 4096, 2).double()
    points = torch.randn((20, n_inputs), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    widths = torch.tensor([0.7, 1.5]) * n_inputs**0.5
    features.set(torch.zeros(n_inputs), widths, torch.Generator().manual_seed(0))
    mapped = features(points).split(4096, dim=1)
    squares = torch.cdist(points, points).square()
    for each, width in zip(mapped, widths.double(), strict=True):
        kernel = torch.exp(-squares / (2 * width**2))
        assert (each @ each.T - kernel).abs().max() < 0.06


def test_the_same_seed_draws_the_same_directions() -> None:
    one, other, different = (FourierFeatures(6, 4, 2) for _ in range(3))
    for each, seed in ((one, 3), (other, 3), (different, 4)):
        each.set(torch.zeros(6), torch.ones(2), torch.Generator().manual_seed(seed))
    assert torch.equal(one.frequency, other.frequency)
    assert torch.equal(one.phase, other.phase)
    assert not torch.equal(one.frequency, different.frequency)
    lengths = one.frequency[:, :4]
    assert torch.allclose(lengths.T @ lengths, torch.diag(lengths.square().sum(dim=0)), atol=1e-5)  # orthogonal


@pytest.mark.parametrize("narrow", [0, 1])
def test_features_are_means_over_the_asvs_of_a_sample(config, batch_of, narrow: int) -> None:
    encoder = absent(config)
    features = drawn(SampleFeatures(FeaturesConfig(8, 2, presence_bandwidths=narrow), encoder).double())
    batch = batch_of(SAMPLES)
    found = features(batch, EncoderOutput(torch.zeros((3, 0)).double(), torch.zeros((4, 0)).double()))
    of_bases = features.of_bases
    centre, frequency, phase = (tensor.numpy() for tensor in (of_bases.centre, of_bases.frequency, of_bases.phase))
    for row, sample in enumerate(SAMPLES):
        mapped, counts = [], np.array(list(sample.values()))
        for sequence in sample:
            bases, known = one_hot(sequence, config.max_bp)
            mapped.append(np.sqrt(2 / 8) * np.cos(((bases - centre) * known) @ frequency + phase))
        roots = np.sqrt(counts / counts.sum())
        presence = np.sum(mapped, axis=0)[:8] / np.sqrt(len(mapped)) if narrow else np.mean(mapped, axis=0)
        by_hand = [presence, roots / roots.sum() @ np.array(mapped), [np.log(len(sample))]]
        np.testing.assert_allclose(found[row].numpy(), np.concatenate(by_hand), rtol=1e-10)


def test_similarities_are_sums_over_the_asvs_of_a_sample(config, batch_of) -> None:
    features = drawn(SampleFeatures(FeaturesConfig(8, 1, 1, reads=4, centres=3), config).double())
    stored = ["ACGTAC", "TTGC"]  # the third centre does not exist
    codes = torch.full((2, config.max_bp), -1)
    for row, read in enumerate(stored):
        codes[row, : len(read)] = torch.tensor(["ACGT".find(letter) for letter in read])
    random, samples = np.random.default_rng(0), [{"ACGTAC": 4.0, "ACGTNA": 1.0, "TTGC": 4.0}, {"TTGC": 2.0}]
    batch = batch_of(samples)
    embeddings, centres = random.normal(size=(batch.n_asvs, config.width)), random.normal(size=(3, config.width))
    assert features.nearest is not None
    features.nearest.set(codes)
    features.centres.copy_(torch.from_numpy(centres))
    features.similar_bases.bandwidth.fill_(1.5)
    features.similar_embeddings.bandwidth.fill_(4.0)
    encoded = EncoderOutput(torch.zeros((2, config.width)).double(), torch.from_numpy(embeddings))
    found = features(batch, encoded).detach().numpy()
    place = {sequence: int(batch.asv_index[i]) for i, sequence in enumerate(s for sample in samples for s in sample)}
    filled = {"ACGTNA": "ACGTAA"}  # its missing base is that of the nearest read
    for row, sample in enumerate(samples):
        by_bases, by_embeddings = np.zeros(3), np.zeros(3)
        for sequence in sample:
            bases, _ = one_hot(filled.get(sequence, sequence), config.max_bp)
            for column, read in enumerate(stored):
                other, _ = one_hot(read, config.max_bp)
                by_bases[column] += np.exp(-np.square(bases - other).sum() / (2 * 1.5**2))
                distance = np.linalg.norm(embeddings[place[sequence]] - centres[column])
                by_embeddings[column] += np.exp(-(distance**2) / (2 * 4.0**2))
        expected = np.concatenate([by_bases, by_embeddings]) / np.sqrt(len(sample))
        np.testing.assert_allclose(found[row, :6], expected, rtol=1e-10)
    assert features.blocks() == [3, 3, 8, 8, config.width, 1]


def test_standardized_blocks_have_mean_0_and_their_variance(config, model_of, batch_of) -> None:
    predictor = model_of(probe(replace(config, objectives=())))
    features, batch = drawn(predictor.features), batch_of(SAMPLES)
    assert features.blocks() == [8, 8, 8, 8, 8, 8, config.width, 1]
    assert sum(features.blocks()) == predictor.config.head_width
    returned = features.standardize(predictor.head_input(batch, predictor.encoder(batch)).detach())
    found = predictor.head_input(batch, predictor.encoder(batch)).detach()
    assert torch.equal(found, returned)
    assert found.mean(dim=0).abs().max() < 1e-9
    sums = [float(block.sum()) for block in found.var(dim=0, correction=0).split(features.blocks())]
    # 4 for presence and 1 for square roots, in 2 to 1 for the two bandwidths of bases, whole for the one of embeddings
    kernels = np.array([8 / 3, 4 / 3, 4, 2 / 3, 1 / 3, 1])
    assert sums == pytest.approx([*kernels / kernels.mean(), 1, 0.01])


def test_a_linear_head_reads_features_covariates_and_known_categories() -> None:
    head = LinearHead(3, [3], 2, 2).double()
    torch.manual_seed(0)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    with torch.no_grad():
        head.categories[0].weight[0] = 0
    x, covariates = torch.randn((2, 3)).double(), torch.randn((2, 2)).double()
    codes = torch.tensor([[0], [2]])
    outputs = head(x, Conditions(codes, torch.zeros((2, 1, 4)).double(), covariates)).outputs
    expected = torch.cat([x, covariates], dim=1) @ head.linear.weight.T + head.linear.bias
    expected[1] += head.categories[0].weight[2]
    torch.testing.assert_close(outputs, expected)


def test_a_model_without_an_encoder_is_stored_with_the_same_bits(config, batch_of, tmp_path) -> None:
    conditioning = ConditioningConfig(
        (CategoryConfig(3, fused=False, embedded=False),), covariates=1, fusion=FusionConfig("head")
    )
    predictor = build_predictor(probe(absent(config), conditioning=conditioning)).eval()
    drawn(predictor.features)
    with new_folder(tmp_path / "model") as folder:
        save_model(folder, predictor)
    again = load_model(tmp_path / "model")
    assert again.config == predictor.config
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in predictor.state_dict().items())
    batch = replace(
        batch_of(SAMPLES, dtype=torch.float32),
        categories=torch.tensor([[0], [1], [2]]),
        covariates=torch.randn((3, 2)),
    )
    assert torch.equal(again(batch)[0].outputs, predictor(batch)[0].outputs)
    assert predictor.encoder(batch).sample_embeddings.shape == (3, 0)


def of_version(version: int, config: PredictorConfig) -> str:
    """Return the JSON of a configuration under the number of an older format."""
    return config_to_json(config).replace(f'"format_version": {FORMAT_VERSION}', f'"format_version": {version}')


def test_a_predictor_of_version_7_compares_with_no_asvs(config) -> None:
    text = of_version(7, probe(absent(config)))
    old = text.replace(',\n      "centres": 0', "")
    assert old != text
    assert config_from_json(old, "config.json") == probe(absent(config))


def test_a_predictor_of_version_5_reads_embeddings(config) -> None:
    text = of_version(5, PredictorConfig(config, 1))
    old = text.replace(',\n    "features": null', "")
    assert old != text
    assert config_from_json(old, "config.json") == PredictorConfig(config, 1)


def test_a_predictor_of_version_6_stores_no_reads(config) -> None:
    text = of_version(6, probe(absent(config)))
    old = text.replace(',\n      "presence_bandwidths": 0,\n      "reads": 0,\n      "centres": 0', "")
    assert old != text
    assert config_from_json(old, "config.json") == probe(absent(config))


def nearest_by_hand(sequence: str, stored: list[str]) -> str:
    """Fill in a sequence by a loop over the stored ones; "-" is a missing base, as are all behind its end."""
    if sequence in stored:
        return sequence

    def differences(read: str) -> int:
        return sum(a != "-" and a != b for a, b in zip(sequence, read, strict=True))

    nearest = min(stored, key=differences)
    return "".join(b if a == "-" else a for a, b in zip(sequence, nearest, strict=True))


def codes_of(sequences: list[str]) -> torch.Tensor:
    return torch.tensor([["ACGT".find(letter) for letter in sequence] for sequence in sequences])


def test_missing_bases_are_those_of_the_nearest_read() -> None:
    random = np.random.default_rng(0)
    stored = ["".join(row) for row in random.choice(list("ACGT"), (40, 12))]
    stored = [read[:9] + "---" if i % 5 == 0 else read for i, read in enumerate(stored)]
    letters = np.array([list(stored[i]) for i in random.integers(0, 40, 600)])
    changed, cut = random.random(letters.shape) < 0.1, random.random(letters.shape) < 0.3
    letters[changed] = random.choice(list("ACGT"), int(changed.sum()))
    letters[cut] = "-"
    sequences = ["".join(row) for row in letters] + stored
    nearest = NearestReads(64, 12, 4)  # rows without reads are nobody's nearest
    nearest.set(codes_of(stored))
    expected = [nearest_by_hand(sequence, stored) for sequence in sequences]
    assert torch.equal(nearest.fill(codes_of(sequences)), codes_of(expected))
    assert sum(a != b for a, b in zip(sequences, expected, strict=True)) > 500


def test_whole_and_stored_reads_stay_as_they_are() -> None:
    nearest = NearestReads(2, 4, 4)
    nearest.set(codes_of(["ACGT", "AC--", "TTTT"]))  # the third is one too many
    same = codes_of(["AC--", "GGGG", "----"])
    assert torch.equal(nearest.fill(same), codes_of(["AC--", "GGGG", "----"]))
    assert torch.equal(nearest.fill(codes_of(["A---", "TTT-"])), codes_of(["ACGT", "TTTT"]))


def test_cut_asvs_have_the_features_of_whole_ones(config, batch_of) -> None:
    features = drawn(SampleFeatures(FeaturesConfig(8, 2, reads=4), absent(config)).double())
    embeddings = torch.zeros((1, 0)).double()
    whole, cut = batch_of([{"ACGTAC": 1.0}]), batch_of([{"ACGN": 1.0}])
    _, (without,) = features.of_asvs(cut, embeddings)
    assert features.nearest is not None
    features.nearest.set(features.base_codes(whole))
    (_, (of_cut,)), (_, (of_whole,)) = features.of_asvs(cut, embeddings), features.of_asvs(whole, embeddings)
    assert torch.equal(of_cut, of_whole)
    assert not torch.allclose(without, of_whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": None}, "neither an encoder nor features"),
        ({"layer_norm": True}, "fusion none or a LayerNorm of features"),
        ({"features": FeaturesConfig(8, 2, 1)}, "features of embeddings without an encoder"),
        ({"conditioning": ConditioningConfig((), 1, fusion=FusionConfig("concat"))}, "fusion concat or a LayerNorm"),
        (
            {"conditioning": ConditioningConfig((), 1, fusion=FusionConfig("head")), "head_kind": "mlp"},
            "fusion head of a mlp head",
        ),
    ],
)
def test_configurations_that_do_not_fit_are_refused(change, message, config) -> None:
    with pytest.raises(ModelError, match=message):
        probe(absent(config), **change)


def test_features_need_bandwidths(config) -> None:
    with pytest.raises(ModelError, match="features without bandwidths"):
        FeaturesConfig(8, 0, 0)
    with pytest.raises(ModelError, match="4 reads, but bases are not read"):
        FeaturesConfig(8, 0, 1, reads=4)
    with pytest.raises(ModelError, match="centres 5: must be 0 to the 4 stored reads"):
        FeaturesConfig(8, 2, reads=4, centres=5)
    with pytest.raises(ModelError, match="an absent encoder with sizes"):
        replace(absent(config), width=4)

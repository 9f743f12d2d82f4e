"""Models come back bit for bit; folders that people changed or made up are rejected before anything is run."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from aam_models.build import build_encoder, build_predictor
from aam_models.config.encoder import EncoderConfig
from aam_models.config.predictor import PredictorConfig
from aam_models.encoder.encoder import Encoder
from aam_models.errors import ModelError
from aam_models.predictor.predictor import Predictor
from aam_models.storage.config_json import CONFIG, config_to_json, read_config
from aam_models.storage.folders import new_folder
from aam_models.storage.model_folder import (
    WEIGHTS,
    load_model,
    load_weights,
    read_tensors,
    save_model,
)

Tensors = dict[str, Tensor]


@pytest.fixture
def encoder(config: EncoderConfig) -> Encoder:
    torch.manual_seed(0)
    encoder = build_encoder(config)
    assert encoder.distance_head is not None
    encoder.distance_head.calibrate(torch.randn(20, 4), torch.randn(20, 4), torch.rand(20))
    return encoder


def publish(path: Path, files: dict[str, bytes]) -> Path:
    """A folder whose manifest is right, whatever the files say."""
    with new_folder(path) as temporary:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
    return path


def publish_with(path: Path, model: Encoder, change: Callable[[Tensors], Tensors]) -> Path:
    """A model folder with changed weights and a right manifest."""
    with new_folder(path) as temporary:
        save_model(temporary, model)
        save_file(change({k: v.detach().clone() for k, v in model.state_dict().items()}), temporary / WEIGHTS)
    return path


def test_an_encoder_comes_back_bit_for_bit(encoder, batch_of, random_samples, tmp_path) -> None:
    batch = batch_of(random_samples((9, 5), (8, 12)), mask_ratio=0.2, hide_ratio=0.2, dtype=torch.float32)
    with new_folder(tmp_path / "model") as folder:
        save_model(folder, encoder.train())
    assert encoder.training
    loaded = load_model(tmp_path / "model")
    assert isinstance(loaded, Encoder)
    assert not loaded.training
    assert loaded.config == encoder.config
    assert all(parameter.requires_grad and parameter.device.type == "cpu" for parameter in loaded.parameters())
    before, after = encoder.state_dict(), loaded.state_dict()
    assert list(after) == list(before)
    assert [name for name in before if not torch.equal(after[name], before[name])] == []
    with torch.no_grad():
        one, other = encoder(batch), loaded(batch)
        assert torch.equal(one.sample_embeddings, other.sample_embeddings)
        assert one.predictions.keys() == other.predictions.keys() == {"nucleotides", "faith_pd", "counts"}
        assert all(torch.equal(one.predictions[name], other.predictions[name]) for name in one.predictions)


def test_a_predictor_comes_back_bit_for_bit(config, batch_of, random_samples, tmp_path) -> None:
    predictor = build_predictor(PredictorConfig(config, out_width=3, hidden_dims=(7, 5), dropout=0.5)).eval()
    batch = batch_of(random_samples((9, 5), (8, 12)), dtype=torch.float32)
    with new_folder(tmp_path / "model") as folder:
        save_model(folder, predictor)
    loaded = load_model(tmp_path / "model")
    assert isinstance(loaded, Predictor)
    assert read_config(tmp_path / "model") == loaded.config == predictor.config
    with torch.no_grad():
        assert torch.equal(loaded(batch)[0].outputs, predictor(batch)[0].outputs)


def test_a_loaded_model_does_not_hang_on_its_file(encoder, tmp_path) -> None:
    """Weights that stayed mapped to the file would change with it, or end the process when it is cut."""
    with new_folder(tmp_path / "model") as folder:
        save_model(folder, encoder)
    loaded = load_model(tmp_path / "model")
    size = (tmp_path / "model" / WEIGHTS).stat().st_size
    (tmp_path / "model" / WEIGHTS).write_bytes(b"\xff" * size)
    assert [k for k, v in encoder.state_dict().items() if not torch.equal(loaded.state_dict()[k], v)] == []


def test_loading_draws_no_random_numbers(encoder, tmp_path) -> None:
    with new_folder(tmp_path / "model") as folder:
        save_model(folder, encoder)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    load_model(tmp_path / "model")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, "preprocessor.json"])
def test_one_flipped_byte_in_any_file_is_rejected_by_name(name, encoder, tmp_path) -> None:
    with new_folder(tmp_path / "model") as folder:
        save_model(folder, encoder)
        (folder / "preprocessor.json").write_text("{}\n")
    file = tmp_path / "model" / name
    whole = file.read_bytes()
    for place in {0, 9, len(whole) // 2, len(whole) - 1}:
        content = bytearray(whole)
        content[place % len(whole)] ^= 1
        file.write_bytes(content)
        with pytest.raises(ModelError, match=f"model/{name}: the file was changed or is damaged"):
            load_model(tmp_path / "model")


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_model_without_one_of_its_files_is_refused(name, encoder, tmp_path) -> None:
    with new_folder(tmp_path / "incomplete") as folder:
        save_model(folder, encoder)
        (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        load_model(tmp_path / "incomplete")


def test_missing_extra_and_renamed_tensors_are_named(encoder, tmp_path) -> None:
    gone = "sample_encoder.pooling.out.bias"

    def renamed(tensors: Tensors) -> Tensors:
        return {("old." + name if name == gone else name): tensor for name, tensor in tensors.items()}

    with pytest.raises(ModelError, match=rf"{WEIGHTS}: missing tensors: {gone}$"):
        load_model(publish_with(tmp_path / "renamed", encoder, renamed))
    with pytest.raises(ModelError, match=rf"{WEIGHTS}: missing tensors: asv_encoder.* and \d+ more$"):
        load_model(publish_with(tmp_path / "empty", encoder, lambda tensors: {}))
    with pytest.raises(ModelError, match=rf"{WEIGHTS}: unexpected tensors: more$"):
        load_model(publish_with(tmp_path / "extra", encoder, lambda tensors: {**tensors, "more": torch.zeros(1)}))


def test_tensors_of_another_shape_or_type_are_named_with_both(encoder, tmp_path) -> None:
    def change(tensors: Tensors) -> Tensors:
        tensors["count_head.weight"] = torch.zeros(2, 12)
        tensors["distance_head.slope"] = tensors["distance_head.slope"].double()
        tensors["asv_encoder.position_embedding.weight"] = torch.zeros(20, 12)
        return tensors

    with pytest.raises(ModelError, match=f"{WEIGHTS}: tensors of another type or shape: ") as caught:
        load_model(publish_with(tmp_path / "model", encoder, change))
    assert "count_head.weight is float32 [2, 12], the model needs float32 [1, 12]" in str(caught.value)
    assert "distance_head.slope is float64 [], the model needs float32 []" in str(caught.value)
    assert "asv_encoder.position_embedding.weight is float32 [20, 12], the model needs float32 [21, 12]" in str(
        caught.value
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_rejected_by_name(value, encoder, tmp_path) -> None:
    def change(tensors: Tensors) -> Tensors:
        tensors["asv_encoder.token_embedding.weight"][3, 4] = value
        return tensors

    with pytest.raises(ModelError, match=r"values that are not finite: asv_encoder.token_embedding.weight$"):
        load_model(publish_with(tmp_path / "model", encoder, change))


def test_rejected_weights_leave_the_model_as_it_was(encoder) -> None:
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    weights = {name: torch.full_like(tensor, 2) for name, tensor in before.items()}
    weights["count_head.bias"][:] = torch.nan
    with pytest.raises(ModelError, match=r"given.safetensors: values that are not finite"):
        load_weights(encoder, weights, "given.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())
    weights["count_head.bias"][:] = 2
    load_weights(encoder, weights, "given.safetensors")
    assert all((tensor == 2).all() for tensor in encoder.state_dict().values())


class Payload:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["pickle", "torch.save", "torch.save, old"])
def test_a_pickle_instead_of_weights_is_rejected_and_not_run(form, encoder, tmp_path) -> None:
    ran = tmp_path / "ran"
    with new_folder(tmp_path / "model") as folder:
        save_model(folder, encoder)
        if form == "pickle":
            (folder / WEIGHTS).write_bytes(pickle.dumps(Payload(ran)))
        else:
            new = form == "torch.save"
            torch.save({"weights": Payload(ran)}, folder / WEIGHTS, _use_new_zipfile_serialization=new)
    with pytest.raises(ModelError, match=f"{WEIGHTS}: not a readable safetensors file"):
        load_model(tmp_path / "model")
    assert not ran.exists()


def test_truncated_weights_are_rejected_at_any_byte(encoder, tmp_path) -> None:
    file = tmp_path / WEIGHTS
    save_file({"a": torch.arange(6.0), "b": torch.ones(2, 2)}, file)
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=f"{WEIGHTS}: not a readable safetensors file"):
            read_tensors(file)


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 2**63]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"a": {"dtype": "object", "shape": [1], "data_offsets": [0, 4]}},
        {"a": 1},
        [],
    ],
    ids=str,
)
def test_made_up_safetensors_are_refused(header, tmp_path) -> None:
    text = json.dumps(header).encode()
    (tmp_path / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + b"\0\0\0\0")
    with pytest.raises(ModelError, match=f"{WEIGHTS}: not a readable safetensors file"):
        read_tensors(tmp_path / WEIGHTS)


def test_a_config_of_gigabytes_is_rejected_by_the_weights_it_lacks(encoder, config, tmp_path) -> None:
    """Every value is within its range; only the weights show that the model cannot be this one."""
    huge = replace(config, width=1_200, heads=1, asv_layers=256, sample_layers=256)
    with new_folder(tmp_path / "model") as folder:
        save_model(folder, encoder)
        (folder / CONFIG).write_text(config_to_json(huge))
    with pytest.raises(
        ModelError, match=r"describes a model of at least 2,049 tensors, but model.safetensors has \d+\. The"
    ):
        load_model(tmp_path / "model")


def test_a_predictor_is_not_loaded_from_an_encoders_weights(encoder, config, tmp_path) -> None:
    with new_folder(tmp_path / "model") as folder:
        save_model(folder, encoder)
        (folder / CONFIG).write_text(config_to_json(PredictorConfig(config, out_width=2)))
    with pytest.raises(ModelError, match=r"missing tensors: encoder.asv_encoder"):
        load_model(tmp_path / "model")


def test_links_in_the_folder_are_rejected_and_links_to_the_folder_work(encoder, tmp_path) -> None:
    with new_folder(tmp_path / "model") as folder:
        save_model(folder, encoder)
    (tmp_path / "best").symlink_to("model")
    load_model(tmp_path / "best")
    (tmp_path / "model" / WEIGHTS).rename(tmp_path / WEIGHTS)
    (tmp_path / "model" / WEIGHTS).symlink_to(tmp_path / WEIGHTS)
    with pytest.raises(ModelError, match=f"{WEIGHTS}: not a plain file"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "config.json: not valid JSON"),
        (b"\xff\xfe{}", "config.json: line 1 is not UTF-8 text"),
        (b"[" * 100_000, "config.json: not valid JSON"),
        (b"{}", "config.json: not an AAM model configuration"),
    ],
)
def test_damaged_configs_are_rejected_also_where_the_manifest_is_not_read(content, message, tmp_path) -> None:
    folder = publish(tmp_path / "model", {CONFIG: content, WEIGHTS: b""})
    with pytest.raises(ModelError, match=message):
        read_config(folder)
    with pytest.raises(ModelError, match=message):
        load_model(folder)


@pytest.mark.parametrize("what", ["absent", "a file", "empty"])
def test_other_folders_are_reported(what, tmp_path) -> None:
    path = tmp_path / "path"
    if what == "a file":
        path.touch()
    elif what == "empty":
        path.mkdir()
    with pytest.raises(ModelError, match="path: not a model folder"):
        read_config(path)
    with pytest.raises(ModelError, match="path: not a model folder"):
        load_model(path)


def test_a_disk_that_rejects_the_weights_is_reported(encoder, tmp_path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    (folder / WEIGHTS).mkdir()  # a stand-in for any failure of the system
    with pytest.raises(IsADirectoryError, match=WEIGHTS):
        save_model(folder, encoder)

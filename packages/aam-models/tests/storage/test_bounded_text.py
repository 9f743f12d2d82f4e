"""Text files of models are read within limits, whatever stands in their place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aam_models.config.encoder import Alphabet, EncoderConfig
from aam_models.config.limits import transformer_size
from aam_models.config.predictor import PredictorConfig
from aam_models.encoder.transformer import Block
from aam_models.errors import ModelError
from aam_models.storage.bounded_text import read_bounded_text
from aam_models.storage.strict_json import parse_strict_json

ALPHABET = Alphabet(pad=0, first_base=1, n_bases=4, start=5, mask=6, size=7)


def test_text_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("h\u00f4te\n", encoding="utf-8")
    assert read_bounded_text(file, max_bytes=6) == "h\u00f4te\n"
    (tmp_path / "link").symlink_to(file)
    assert read_bounded_text(tmp_path / "link", through_links=True) == "h\u00f4te\n"


@pytest.mark.parametrize("what", ["link", "pipe", "folder", "device"])
def test_what_is_not_a_plain_file_is_refused(what: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    if what == "link":
        (tmp_path / "b.json").write_text("{}")
        file.symlink_to(tmp_path / "b.json")
    elif what == "pipe":
        os.mkfifo(file)
    elif what == "folder":
        file.mkdir()
    else:
        file = Path("/dev/zero")
    with pytest.raises(ModelError, match=f"{file}: not a plain file. The file was changed or is damaged"):
        read_bounded_text(file)


def test_a_file_of_any_size_costs_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.touch()
    os.truncate(file, 20 * 10**9)  # sparse: no block of it is on the disk
    with pytest.raises(ModelError, match="20,000,000,000 bytes; files of this kind have at most 64,000,000"):
        read_bounded_text(file)


def test_the_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b'{"a": 1,\n"b": "\xe9"}\n')
    with pytest.raises(ModelError, match=r"a\.json: line 2 is not UTF-8 text"):
        read_bounded_text(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "not valid JSON .nested too deep"),
        ('{"a":' * 100_000, "not valid JSON .nested too deep"),
        ("1" * 100_000, r"f: 1+\.\.\.1+ is too large$"),
        (str(2**63), "f: 9223372036854775808 is too large"),
        ("1e999", "f: 1e999 is too large"),
        ('{"' + "k" * 10_000 + '": 1, "' + "k" * 10_000 + '": 2}', r"duplicate key 'k+\.\.\.k+'$"),
    ],
)
def test_json_has_bounds_and_messages_are_short(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        parse_strict_json(text, "f")
    assert len(str(caught.value)) < 200
    assert parse_strict_json(f"[{2**63 - 1}, {-(2**63) + 1}]", "f") == [2**63 - 1, -(2**63) + 1]


def test_the_least_size_is_that_of_the_weight_matrices() -> None:
    block = Block(8, 2)
    matrices = [tensor for tensor in block.parameters() if tensor.dim() == 2]
    assert transformer_size(8, 3) == (3 * sum(tensor.numel() for tensor in matrices), 3 * len(matrices))


def test_models_that_no_computer_holds_are_refused_unbuilt() -> None:
    encoder = EncoderConfig(ALPHABET, max_bp=4, width=8, heads=2, asv_layers=1, sample_layers=1)
    with pytest.raises(ModelError, match=r"a model of more than 1,649,.* parameters; at most 10,000,000,000"):
        EncoderConfig(ALPHABET, max_bp=4, width=16_384, heads=2, asv_layers=256, sample_layers=256)
    with pytest.raises(ModelError, match="category embeddings: a model of more than"):
        PredictorConfig(encoder, 3, hidden_dims=(16_384,) * 256)

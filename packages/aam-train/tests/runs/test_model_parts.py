"""The files of a model folder are of one model, or the folder is refused before the table is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from aam_data.options.files import MetadataOptions, TableOptions
from aam_data.options.metadata_inputs import CategoryOptions
from aam_models.errors import ModelError
from aam_models.storage.folders import new_folder
from aam_train.errors import TrainError
from aam_train.options.commands import EmbedOptions, EvaluateOptions, PredictOptions
from aam_train.options.recipe_configs import EmbedConfig, EvaluateConfig, PredictConfig, PretrainConfig, TrainConfig
from aam_train.recipes.embed import embed
from aam_train.recipes.evaluate import evaluate
from aam_train.recipes.predict import predict
from aam_train.recipes.train import train
from aam_train.runs.model_parts import read_parts
from aam_train.show.show import describe

Content = dict[str, Any]


def best(run: Path) -> Path:
    return (run / "checkpoints" / "best").resolve()


def assemble(folder: Path, parts: dict[str, Path | Content]) -> Path:
    """A folder of these files, with a manifest that fits them."""
    with new_folder(folder) as temporary:
        for name, source in parts.items():
            if isinstance(source, Path):
                shutil.copy(source / name, temporary / name)
            else:
                (temporary / name).write_text(json.dumps(source))
    return folder


def parts_of(model: Path) -> dict[str, Path | Content]:
    return {file.name: model for file in model.iterdir() if file.name != "manifest.json"}


def refuse(folder: Path, message: str, tmp_path: Path) -> None:
    """Every command refuses the model by this message, although the table does not even exist."""
    table, output = TableOptions(tmp_path / "absent.biom"), tmp_path / "out.tsv"
    metadata = MetadataOptions(tmp_path / "absent.tsv")
    with pytest.raises(ModelError, match=message) as caught:
        predict(PredictConfig(table, PredictOptions(folder, output, device="cpu"), metadata), quiet=True)
    assert "The files are not of one model: copy the model folder again" in str(caught.value)
    with pytest.raises(ModelError, match=message):
        embed(EmbedConfig(table, EmbedOptions(folder, output, device="cpu")), quiet=True)
    options = EvaluateOptions(folder, tmp_path / "evaluation", device="cpu")
    with pytest.raises(ModelError, match=message):
        evaluate(EvaluateConfig(table, options, metadata), quiet=True)
    with pytest.raises(ModelError, match=message):
        describe(folder)


@pytest.mark.parametrize(
    ("base", "foreign", "names", "message"),
    [
        ("number", "class", ["preprocessor.json"], "targets degree_days, but config.json has .* status"),
        ("number", "class", ["preprocessor.json", "training.json"], "classes .*, but config.json has 1 numbers"),
        ("class", "number", ["preprocessor.json", "training.json"], "1 outputs, but config.json has 2 outputs"),
        ("number", "encoder", ["preprocessor.json", "training.json"], "no targets, but .* a predictor of 1 outputs"),
        ("encoder", "number", ["preprocessor.json", "training.json"], "targets degree_days, but .* an encoder"),
        ("encoder", "number", ["training.json"], "training.json: targets degree_days"),
    ],
)
def test_exchanged_files(
    base: str,
    foreign: str,
    names: list[str],
    message: str,
    number_run: tuple[TrainConfig, Path],
    class_run: tuple[TrainConfig, Path],
    encoder_run: tuple[PretrainConfig, Path],
    tmp_path: Path,
) -> None:
    models = {"number": best(number_run[1]), "class": best(class_run[1]), "encoder": best(encoder_run[1])}
    parts = parts_of(models[base]) | dict.fromkeys(names, models[foreign])
    refuse(assemble(tmp_path / "model", parts), message, tmp_path)


@pytest.fixture(scope="session")
def metadata_run(train_config: Callable[..., TrainConfig], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that reads two categorical columns and a number."""
    category = CategoryOptions(categorical_columns=("location", "season"), numeric_columns=("age",))
    config = train_config(tmp_path_factory.mktemp("inputs") / "run", category=category)
    return train(config, quiet=True)


def set_at(*path: str | int, value: object) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        place: Any = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("preprocessor.json", set_at("max_bp", value=2**40), "max_bp 1,099,511,627,776, but config.json has 150"),
        (
            "preprocessor.json",
            lambda c: c["inputs"].update(covariates={"columns": [], "means": [], "stds": []}),
            "0 numeric columns, but config.json has 1",
        ),
        ("training.json", set_at("targets", value=["age"]), "targets age, but .* degree_days"),
        ("training.json", set_at("constant", value={"age": 1.0}), "no constant for degree_days"),
        ("config.json", set_at("model", "conditioning", "covariates", value=3), "1 numeric columns, but .* 3"),
        (
            "config.json",
            lambda c: c["model"]["conditioning"]["categories"][0].update(size=40),
            "codes of the column location, but config.json has 40",
        ),
        (
            "config.json",
            lambda c: c["model"]["conditioning"]["categories"].pop(),
            "2 categorical columns, but config.json has 1",
        ),
    ],
)
def test_changed_files(
    name: str, change: Callable[[Content], None], message: str, metadata_run: Path, tmp_path: Path
) -> None:
    content = json.loads((best(metadata_run) / name).read_text())
    change(content)
    refuse(assemble(tmp_path / "model", parts_of(best(metadata_run)) | {name: content}), message, tmp_path)


def test_another_alphabet(encoder_run: tuple[PretrainConfig, Path], tmp_path: Path) -> None:
    content = json.loads((best(encoder_run[1]) / "config.json").read_text())
    alphabet = content["model"]["alphabet"]
    alphabet["start"], alphabet["mask"] = alphabet["mask"], alphabet["start"]
    folder = assemble(tmp_path / "model", parts_of(best(encoder_run[1])) | {"config.json": content})
    with pytest.raises(ModelError, match="made with another alphabet of bases; train it again"):
        read_parts(folder)


def test_whole_models_are_of_one_piece(metadata_run: Path, number_run: tuple[TrainConfig, Path]) -> None:
    for run in (metadata_run, number_run[1]):
        assert read_parts(best(run)).record.targets == ["degree_days"]


@pytest.mark.parametrize("kind", ["number", "class"])
def test_predictions_that_are_not_finite_are_an_error(
    kind: str,
    number_run: tuple[TrainConfig, Path],
    class_run: tuple[TrainConfig, Path],
    files: Path,
    tmp_path: Path,
) -> None:
    """Weights near the largest number of float32: finite themselves, but not what they compute."""
    model = best((number_run if kind == "number" else class_run)[1])
    shutil.copytree(model, tmp_path / "copy")
    weights = load_file(model / "model.safetensors")
    save_file({k: v.sign() * 3e38 for k, v in weights.items()}, tmp_path / "copy" / "model.safetensors")
    folder = assemble(tmp_path / "model", parts_of(tmp_path / "copy"))
    table, metadata = TableOptions(files / "table.biom"), MetadataOptions(files / "metadata.tsv")
    message = rf"{folder}: {{}} of 24 of 24 are not finite numbers \(S01, S02, S03, S04, S05 and 19 more\)"
    with pytest.raises(TrainError, match=message.format("predictions")):
        predict(PredictConfig(table, PredictOptions(folder, tmp_path / "p.tsv", device="cpu")), quiet=True)
    with pytest.raises(TrainError, match=message.format("predictions")):
        evaluate(EvaluateConfig(table, EvaluateOptions(folder, tmp_path / "e", device="cpu"), metadata), quiet=True)
    with pytest.raises(TrainError, match=message.format("embeddings")):
        embed(EmbedConfig(table, EmbedOptions(folder, tmp_path / "e.tsv", device="cpu")), quiet=True)
    asvs = EmbedOptions(folder, tmp_path / "e.tsv", level="asv", device="cpu")
    with pytest.raises(TrainError, match=r"embeddings of .* are not finite numbers"):
        embed(EmbedConfig(table, asvs), quiet=True)
    assert not {"p.tsv", "e", "e.tsv"} & {path.name for path in tmp_path.iterdir()}

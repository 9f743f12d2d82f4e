"""`aam evaluate` never ends well without a figure: nothing is written, and the error says what would match."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aam_data.errors import DataError
from aam_data.options.files import MetadataOptions, TableOptions
from aam_train.errors import TrainError
from aam_train.options.commands import EvaluateOptions
from aam_train.options.recipe_configs import EvaluateConfig
from aam_train.recipes.class_names import matching_hint
from aam_train.recipes.evaluate import evaluate

Run = tuple[Any, Path]


def with_values(files: Path, column: str, change: Callable[[str], str], output: Path) -> Path:
    """Write the metadata with other values in a column."""
    header, *lines = (files / "metadata.tsv").read_text().splitlines()
    number = header.split("\t").index(column)
    rows = [line.split("\t") for line in lines]
    for row in rows:
        row[number] = change(row[number])
    output.write_text("\n".join([header, *("\t".join(row) for row in rows)]) + "\n")
    return output


def evaluated(files: Path, model: Path, metadata: Path, output: Path) -> None:
    options = EvaluateOptions(model, output, device="cpu")
    evaluate(EvaluateConfig(TableOptions(files / "table.biom"), options, MetadataOptions(metadata)), quiet=True)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (
            str.upper,
            r"'HEALTHY', 'STRESSED', the model 'healthy', 'stressed'\. 2 of 2 classes would match ignoring case",
        ),
        (lambda text: f"is {text}", r"'is healthy', 'is stressed', the model 'healthy', 'stressed'\)?$"),
        (lambda text: "", r"none of the 24 samples to evaluate has a class that the model knows$"),
    ],
)  # fmt: skip
def test_no_class_of_the_truth_is_one_of_the_model(
    change: Callable[[str], str], hint: str, class_run: Run, files: Path, tmp_path: Path
) -> None:
    metadata = with_values(files, "status", change, tmp_path / "metadata.tsv")
    with pytest.raises(DataError, match=hint):
        evaluated(files, class_run[1], metadata, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_class_that_only_looks_unknown_is_told(
    class_run: Run, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = with_values(files, "status", lambda text: text.replace("h", "H", 1), tmp_path / "metadata.tsv")
    evaluated(files, class_run[1], metadata, tmp_path / "new")
    text = capsys.readouterr().err
    assert "1 of 1 classes would match ignoring case (as in 'Healthy' and 'healthy'). Write them as in training" in text


def test_no_sample_has_a_number(number_run: Run, files: Path, tmp_path: Path) -> None:
    metadata = with_values(files, "degree_days", lambda text: "", tmp_path / "metadata.tsv")
    with pytest.raises(DataError, match="none of the 24 samples to evaluate has a value in degree_days"):
        evaluated(files, number_run[1], metadata, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_encoder_without_truth_is_no_success(encoder_run: Run, files: Path, tmp_path: Path) -> None:
    table = (files / "table.biom").read_bytes()
    (tmp_path / "table.biom").write_bytes(table)
    options = EvaluateOptions(encoder_run[1], tmp_path / "new", device="cpu", part="new")
    with pytest.raises(TrainError, match="--part new: no sample of the table"):
        evaluate(EvaluateConfig(TableOptions(tmp_path / "table.biom"), options), quiet=True)


def test_hints_name_the_first_spelling_that_makes_names_equal() -> None:
    known = ("True", "false", "1", "crohns disease")
    assert matching_hint(["TRUE", "no"], known) == (
        "1 of 2 classes would match ignoring case (as in 'TRUE' and 'True'). Write them as in training"
    )
    assert "ignoring the spelling of numbers (as in '1.0' and '1')" in str(matching_hint(["1.0"], known))
    assert "ignoring case and blanks" in str(matching_hint(["Crohns Disease "], ("crohns  disease",)))
    assert "ignoring case, blanks, - and _" in str(matching_hint(["Crohns-Disease"], known))
    assert matching_hint(["other"], known) is None
    assert len(str(matching_hint(["X" * 500], ("x" * 500,)))) < 200

"""Links in a run's folder: nothing is written through them, and pointers lead to checkpoints of the run only."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aam_train.errors import TrainError
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.recipes.pretrain import pretrain
from aam_train.runs.checkpoints import model_folder
from aam_train.runs.plain_folder import check_plain
from aam_train.show.show import describe


@pytest.fixture
def run(encoder_run: tuple[PretrainConfig, Path], tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(encoder_run[1], tmp_path / "run", symlinks=True))


def resume(run: Path, encoder_run: tuple[PretrainConfig, Path], changed: Callable[..., Any]) -> None:
    pretrain(changed(encoder_run[0], "run", output_dir=run, resume_from="auto", epochs=3), quiet=True)


@pytest.mark.parametrize(
    "name",
    ["run.lock", "starts.jsonl", "metrics.jsonl", "config.toml", "splits.tsv", "report", "tensorboard", "checkpoints",
     "checkpoints/step-99", "report/results.json", "anything"],
)  # fmt: skip
@pytest.mark.parametrize("dangling", [False, True])
def test_links_are_named_and_nothing_is_written(
    name: str,
    dangling: bool,
    run: Path,
    encoder_run: tuple[PretrainConfig, Path],
    changed: Callable[..., Any],
    tmp_path: Path,
) -> None:
    victim, link = tmp_path / "victim", run / name
    if (run / name).is_dir():
        victim.mkdir()
        shutil.rmtree(link)
    else:
        victim.write_text("precious")
        link.unlink(missing_ok=True)
    link.symlink_to(tmp_path / "nowhere" if dangling else victim)
    with pytest.raises(TrainError, match=f"{link}: a link to .*, and a run would write there. Put the file"):
        resume(run, encoder_run, changed)
    assert not (tmp_path / "nowhere").exists()
    assert list(victim.iterdir()) == [] if victim.is_dir() else victim.read_text() == "precious"


@pytest.mark.parametrize("name", ["metrics.jsonl", "splits.tsv", "config.toml", "report/results.json"])
def test_folders_in_place_of_files_are_refused_at_once(
    name: str, run: Path, encoder_run: tuple[PretrainConfig, Path], changed: Callable[..., Any]
) -> None:
    (run / name).unlink()
    (run / name).mkdir()
    starts = (run / "starts.jsonl").read_bytes()
    with pytest.raises(TrainError, match=f"{run / name}: a folder, and a run would write a file there. Move it away"):
        resume(run, encoder_run, changed)
    assert (run / "starts.jsonl").read_bytes() == starts


@pytest.mark.parametrize("name", ["checkpoints", "report", "tensorboard"])
def test_files_in_place_of_folders_are_refused_at_once(
    name: str, run: Path, encoder_run: tuple[PretrainConfig, Path], changed: Callable[..., Any]
) -> None:
    shutil.rmtree(run / name)
    (run / name).write_text("not a folder")
    with pytest.raises(TrainError, match=f"{run / name}: a file, and a run would write a folder there. Move it away"):
        resume(run, encoder_run, changed)


def test_pipes_are_refused_and_the_runs_own_folder_may_be_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run)
    check_plain(tmp_path / "link")
    os.mkfifo(run / "metrics.fifo")
    with pytest.raises(TrainError, match=r"metrics\.fifo: neither a file nor a folder\. Remove it"):
        check_plain(run)


@pytest.mark.parametrize("pointer", ["best", "last"])
def test_pointers_lead_to_checkpoints_of_the_run(pointer: str, run: Path, encoder_run: Any, tmp_path: Path) -> None:
    link = run / "checkpoints" / pointer
    assert model_folder(link) == link
    link.unlink()
    link.symlink_to("step-77")
    given = run if pointer == "best" else link
    with pytest.raises(TrainError, match=f"{pointer}: a link to step-77, which does not exist. Copy the run again"):
        model_folder(given)
    for target in (encoder_run[1] / "checkpoints" / "step-6", "../../elsewhere/step-6", ".", "best"):
        link.unlink()
        link.symlink_to(target)
        with pytest.raises(TrainError, match=f"{pointer}: a link to .*, which is not a checkpoint of this run"):
            model_folder(given)
    if pointer == "best":
        with pytest.raises(TrainError, match="best: a link to"):
            describe(run)


def test_resuming_mends_the_pointers(
    run: Path, encoder_run: tuple[PretrainConfig, Path], changed: Callable[..., Any], tmp_path: Path
) -> None:
    for pointer in ("best", "last"):
        (run / "checkpoints" / pointer).unlink()
        (run / "checkpoints" / pointer).symlink_to(tmp_path / "nowhere")
    resume(run, encoder_run, changed)
    assert model_folder(run).resolve().parent == (run / "checkpoints").resolve()
    assert not (tmp_path / "nowhere").exists()

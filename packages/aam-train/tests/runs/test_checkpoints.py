"""Published checkpoints, their pointers, and what a killed run leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from aam_train.errors import TrainError
from aam_train.runs.checkpoints import Checkpoints, checkpoint_name, model_folder, run_folder_of


def publish(checkpoints: Checkpoints, *steps: int) -> None:
    """Checkpoints whose one file holds their step."""
    for step in steps:

        def write(folder: Path, content: str = str(step)) -> None:
            (folder / "weights").write_text(content)

        checkpoints.save(f"step-{step}", write)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


def test_only_best_and_last_are_kept(checkpoints: Checkpoints) -> None:
    for step in (3, 6, 9):
        publish(checkpoints, step)
        checkpoints.point("last", f"step-{step}")
        if step == 6:
            checkpoints.point("best", f"step-{step}")
    assert names(checkpoints.folder) == ["best", "last", "step-6", "step-9"]
    assert (checkpoints.folder / "best" / "weights").read_text() == "6"
    assert (checkpoints.resolve("best"), checkpoints.resolve("last")) == ("step-6", "step-9")


def test_a_published_step_is_never_written_again(checkpoints: Checkpoints) -> None:
    publish(checkpoints, 3)
    checkpoints.save("step-3", lambda path: pytest.fail("written again"))
    assert (checkpoints.folder / "step-3").joinpath("weights").read_text() == "3"


def test_a_failed_save_leaves_nothing(checkpoints: Checkpoints) -> None:
    def fail(path: Path) -> None:
        (path / "weights").write_text("half")
        raise OSError(28, "No space left on device")

    publish(checkpoints, 3)
    with pytest.raises(TrainError, match=r"step-6: the checkpoint could not be saved \(No space left .* MB are free"):
        checkpoints.save("step-6", fail)
    assert names(checkpoints.folder) == ["step-3"]


def test_the_newest_is_the_complete_one_of_the_highest_step(checkpoints: Checkpoints) -> None:
    assert checkpoints.newest() is None
    publish(checkpoints, 9, 10, 11)
    assert checkpoints.newest() == (checkpoints.folder / "step-11")
    (checkpoints.folder / "step-11" / "weights").write_text("12")
    assert checkpoints.newest() == (checkpoints.folder / "step-10")
    (checkpoints.folder / "step-10" / "manifest.json").unlink()
    assert checkpoints.newest() == (checkpoints.folder / "step-9")


def test_the_judged_checkpoint_of_a_step_is_further_than_the_unjudged_one(checkpoints: Checkpoints) -> None:
    for name in ("step-10", "step-9", "step-9-unjudged", "step-11-unjudged"):
        checkpoints.save(name, lambda path: path.joinpath("weights").touch())
    assert checkpoints.names() == ["step-9-unjudged", "step-9", "step-10", "step-11-unjudged"]
    assert checkpoints.later_than("step-9") == ["step-10", "step-11-unjudged"]
    assert checkpoints.newest() == checkpoints.folder / "step-11-unjudged"
    checkpoints.rewind("step-9-unjudged", None)
    assert names(checkpoints.folder) == ["last", "step-9-unjudged"]
    assert (checkpoint_name(9), checkpoint_name(9, validated=False)) == ("step-9", "step-9-unjudged")


def test_rewinding_removes_what_came_later(checkpoints: Checkpoints) -> None:
    publish(checkpoints, 3, 6, 9)
    checkpoints.folder.joinpath(".step-12.ab12cd34.tmp").mkdir()
    checkpoints.folder.joinpath(".best.tmp").symlink_to("step-9")
    checkpoints.folder.joinpath("best").symlink_to("step-9")
    checkpoints.rewind("step-6", 3)
    assert names(checkpoints.folder) == ["best", "last", "step-3", "step-6"]
    assert (checkpoints.resolve("best"), checkpoints.resolve("last")) == ("step-3", "step-6")
    checkpoints.rewind("step-6", None)
    assert names(checkpoints.folder) == ["last", "step-6"]
    checkpoints.rewind(None, None)
    assert names(checkpoints.folder) == []


def test_the_folder_of_a_cross_validation_is_named(tmp_path: Path) -> None:
    for fold in ("fold-1", "fold-2"):
        (tmp_path / fold / "checkpoints").mkdir(parents=True)
    with pytest.raises(TrainError, match=rf"without ensemble\.json, .* such as {tmp_path / 'fold-1'}, or resume"):
        model_folder(tmp_path)


def test_what_people_call_a_model(checkpoints: Checkpoints, tmp_path: Path) -> None:
    publish(checkpoints, 3)
    with pytest.raises(TrainError, match=r"no best checkpoint yet\. Let it finish its first epoch"):
        model_folder(tmp_path)
    checkpoints.point("best", "step-3")
    assert model_folder(tmp_path) == checkpoints.folder / "best"
    assert model_folder(checkpoints.folder / "step-3") == (checkpoints.folder / "step-3")
    with pytest.raises(TrainError, match="no such folder"):
        model_folder(tmp_path / "absent")
    assert run_folder_of(checkpoints.folder / "best") is None
    (tmp_path / "config.toml").touch()
    assert run_folder_of(checkpoints.folder / "best") == tmp_path


def test_a_step_without_a_folder_is_not_complete(checkpoints: Checkpoints) -> None:
    publish(checkpoints, 3)
    assert checkpoints.is_complete("step-3")
    assert not checkpoints.is_complete("step-4")

"""Published checkpoints, their pointers, and what a killed run leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from aam_train.checkpoint import Checkpoints, model_folder, run_folder_of
from aam_train.errors import TrainError


def publish(checkpoints: Checkpoints, *steps: int) -> None:
    """Checkpoints whose one file holds their step."""
    for step in steps:

        def write(folder: Path, content: str = str(step)) -> None:
            (folder / "weights").write_text(content)

        checkpoints.save(step, write)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


def test_only_best_and_last_are_kept(checkpoints: Checkpoints) -> None:
    for step in (3, 6, 9):
        publish(checkpoints, step)
        checkpoints.point("last", step)
        if step == 6:
            checkpoints.point("best", step)
    assert names(checkpoints.folder) == ["best", "last", "step-6", "step-9"]
    assert (checkpoints.folder / "best" / "weights").read_text() == "6"
    assert (checkpoints.step_of("best"), checkpoints.step_of("last")) == (6, 9)


def test_a_published_step_is_never_written_again(checkpoints: Checkpoints) -> None:
    publish(checkpoints, 3)
    checkpoints.save(3, lambda path: pytest.fail("written again"))
    assert checkpoints.path(3).joinpath("weights").read_text() == "3"


def test_a_failed_save_leaves_nothing(checkpoints: Checkpoints) -> None:
    def fail(path: Path) -> None:
        (path / "weights").write_text("half")
        raise OSError(28, "No space left on device")

    publish(checkpoints, 3)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(6, fail)
    assert names(checkpoints.folder) == ["step-3"]


def test_the_newest_is_the_complete_one_of_the_highest_step(checkpoints: Checkpoints) -> None:
    assert checkpoints.newest() is None
    publish(checkpoints, 9, 10, 11)
    assert checkpoints.newest() == checkpoints.path(11)
    (checkpoints.path(11) / "weights").write_text("12")
    assert checkpoints.newest() == checkpoints.path(10)
    (checkpoints.path(10) / "manifest.json").unlink()
    assert checkpoints.newest() == checkpoints.path(9)


def test_rewinding_removes_what_came_later(checkpoints: Checkpoints) -> None:
    publish(checkpoints, 3, 6, 9)
    checkpoints.folder.joinpath(".step-12.ab12cd34.tmp").mkdir()
    checkpoints.folder.joinpath(".best.tmp").symlink_to("step-9")
    checkpoints.folder.joinpath("best").symlink_to("step-9")
    checkpoints.rewind(6, 3)
    assert names(checkpoints.folder) == ["best", "last", "step-3", "step-6"]
    assert (checkpoints.step_of("best"), checkpoints.step_of("last")) == (3, 6)
    checkpoints.rewind(6, None)
    assert names(checkpoints.folder) == ["last", "step-6"]
    checkpoints.rewind(0, None)
    assert names(checkpoints.folder) == []


def test_what_people_call_a_model(checkpoints: Checkpoints, tmp_path: Path) -> None:
    publish(checkpoints, 3)
    with pytest.raises(TrainError, match=r"no best checkpoint yet\. Let it finish its first epoch"):
        model_folder(tmp_path)
    checkpoints.point("best", 3)
    assert model_folder(tmp_path) == checkpoints.folder / "best"
    assert model_folder(checkpoints.path(3)) == checkpoints.path(3)
    with pytest.raises(TrainError, match="no such folder"):
        model_folder(tmp_path / "absent")
    assert run_folder_of(checkpoints.folder / "best") is None
    (tmp_path / "config.toml").touch()
    assert run_folder_of(checkpoints.folder / "best") == tmp_path


def test_a_step_without_a_folder_is_not_complete(checkpoints: Checkpoints) -> None:
    publish(checkpoints, 3)
    assert checkpoints.is_complete(3)
    assert not checkpoints.is_complete(4)

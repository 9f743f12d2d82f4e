"""What ends a run: exit status and what stands on the streams."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Callable

import click
import pytest

from aam_cli.command import message_options
from aam_cli.errors import run_program
from aam_data.errors import DataError, printable
from aam_models.errors import ModelError
from aam_train.errors import RunStopped, TrainError
from aam_train.options.toml import ConfigError

Capture = pytest.CaptureFixture[str]


def run_failing(action: Callable[[], object], *arguments: str) -> int:
    return run_program(click.Command("fail", callback=action, params=message_options()), arguments)


def raising(error: BaseException) -> Callable[[], object]:
    def action() -> None:
        raise error

    return action


def test_done_is_0() -> None:
    assert run_failing(lambda: None) == 0


@pytest.mark.parametrize("kind", [DataError, ModelError, TrainError, ConfigError])
def test_a_users_error_is_one_line_and_2(kind: type[Exception], capsys: Capture) -> None:
    code = {"code": "metadata-column-missing"} if kind is DataError else {}
    assert run_failing(raising(kind("no such column", **code))) == 2
    assert capsys.readouterr() == ("", "error: no such column\n")


def test_debug_adds_the_traceback(capsys: Capture) -> None:
    assert run_failing(raising(DataError("no such column", code="metadata-column-missing")), "--debug") == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.endswith("\nerror: no such column\n")


def test_usage_error_is_one_line_and_2(capsys: Capture) -> None:
    assert run_failing(lambda: None, "--nonsense") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.endswith("(see aam --help)\n")
    assert err.count("\n") == 1


def test_the_machines_refusal_names_the_file(capsys: Capture) -> None:
    assert run_failing(raising(OSError(errno.ENOSPC, "No space left on device", "run/model"))) == 2
    message = "run/model: No space left on device. Free some disk space, or write to another disk"
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize("error", [RuntimeError("shapes"), ValueError("shapes"), OSError("no file named")])
def test_a_bug_is_1_with_traceback_and_where_to_report(error: Exception, capsys: Capture) -> None:
    assert run_failing(raising(error)) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "This is a bug in AAM" in err


def test_interrupted_is_130(capsys: Capture) -> None:
    assert run_failing(raising(KeyboardInterrupt())) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_run_stopped_by_a_signal_says_so(capsys: Capture) -> None:
    assert run_failing(raising(RunStopped("after step 12; continue with --resume-from auto", 143))) == 143
    assert capsys.readouterr().err == "stopped: after step 12; continue with --resume-from auto\n"


def test_libraries_warn_developers_only(capsys: Capture) -> None:
    def action() -> None:
        warnings.warn("the library is old", DeprecationWarning, stacklevel=1)
        warnings.warn("something unusual", UserWarning, stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run_failing(action) == 0
        assert capsys.readouterr() == ("", "")
        assert run_failing(action, "--debug") == 0
    assert "UserWarning: something unusual" in capsys.readouterr().err


def test_ids_cannot_write_to_the_terminal(capsys: Capture) -> None:
    error = DataError("bad ids", code="ids-empty", offenders=["a\x1b[31m", "b\nc", "h\u00f4te"])
    assert run_failing(raising(error)) == 2
    assert capsys.readouterr().err == "error: bad ids (a\\x1b[31m, b\\nc, h\u00f4te)\n"
    assert printable("\udce9") == "\\udce9"

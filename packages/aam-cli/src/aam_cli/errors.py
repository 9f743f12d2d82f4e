"""How the program ends: one line for a user's error, a traceback for a bug, and the exit status.

0: done. 1: a bug in AAM, with its traceback and how to report it. 2: an error in an input, an option or the environment
(disk, memory, permissions), with one line that names the remedy. 130, 143, 129, 85: stopped by a signal. 141: nobody
reads standard output any more.
"""

from __future__ import annotations

import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, TracebackType

import click

from aam_cli.os_errors import NobodyReads, memory_text, named_output, open_closed_streams, os_error_text, silence
from aam_data.errors import DataError, each_error, printable, shortened
from aam_models.errors import ModelError
from aam_train.errors import RunStopped, TrainError
from aam_train.options.toml import ConfigError
from aam_train.signals import EXIT_CODES, Interrupted, exit_code_of, restore_handlers, set_handlers

BROKEN_PIPE = 128 + signal.SIGPIPE  # as of programs that the signal ends
USER_ERRORS = (ConfigError, ModelError, TrainError)
WARNING = "warning: "


@dataclass
class Program:
    """State of ``--debug``, ``--quiet`` and ``--verbose``, for everything that prints."""

    debug: bool = False
    quiet: bool = False
    verbose: bool = False

    def print(self, line: str) -> None:
        """Print a line of the result on standard output, unless ``--quiet``."""
        if not self.quiet:
            click.echo(printable(line))

    def log(self, line: str) -> None:
        """Print a line about the input or the progress on standard error; with ``--quiet`` warnings only."""
        if not self.quiet or line.startswith(WARNING):
            click.echo(printable(line), err=True)


def run_program(command: click.Command, arguments: Sequence[str]) -> int:
    """Run a click command and return the exit status; every error becomes a message."""
    program = Program()
    open_closed_streams()
    _escape_unencodable_output()
    with warnings.catch_warnings(), _stoppable(), named_output(), _quiet_destructors(program):
        _hide_library_warnings(program)
        try:
            status = command.main(list(arguments), prog_name="aam", standalone_mode=False, obj=program)
            return status if isinstance(status, int) else 0
        except click.ClickException as error:
            return _print_errors([_with_help_hint(error)], program)
        except click.Abort as abort:  # click's form of KeyboardInterrupt
            _say("interrupted")
            return exit_code_of(abort.__cause__) if isinstance(abort.__cause__, KeyboardInterrupt) else 130
        except RunStopped as stop:
            _say(f"stopped: {printable(str(stop))}")
            return stop.exit_code
        except DataError as error:
            return _print_errors([str(problem) for problem in each_error(error)], program)
        except USER_ERRORS as error:
            return _print_errors([str(error)], program)
        except NobodyReads:
            return BROKEN_PIPE
        except Exception as error:
            text = os_error_text(error) if isinstance(error, OSError) else memory_text(error)
            if text is not None:
                return _print_errors([text], program)
            traceback.print_exc()
            _say(
                "This is a bug in AAM, not in your input. Please report it with the lines above, the command"
                " you ran and the output of `aam --version`."
            )
            return 1


def _say(line: str) -> None:
    """Print a last line on standard error."""
    try:
        click.echo(line, err=True)
    except OSError:  # nobody can read it there, and the exit status says the rest
        silence(sys.stderr)


def _print_errors(messages: Sequence[str], program: Program) -> int:
    if program.debug:
        traceback.print_exc()
    for message in messages:
        _say(f"error: {printable(shortened(message))}")
    return 2


def _with_help_hint(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")  # lists of choices have lines of their own
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{message} (see {error.ctx.command_path} --help)"
    return message


@contextmanager
def _stoppable() -> Iterator[None]:
    """Raise `Interrupted` on the other signals that stop a run, as Python raises KeyboardInterrupt on SIGINT.

    Outside of training the program stops at once, but in order: open files are closed or removed.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(signal.Signals(number).name)

    before = set_handlers(stop, [name for name in EXIT_CODES if name != "SIGINT"])
    try:
        yield
    finally:
        restore_handlers(before)


def _escape_unencodable_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict":
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


@contextmanager
def _quiet_destructors(program: Program) -> Iterator[None]:
    """Show errors of libraries that free memory only with ``--debug``: HDF5 repeats there that a disk is full.

    Extension modules print them by ``sys.excepthook`` too, which has no other use here: every error is caught.
    """
    before = sys.unraisablehook, sys.excepthook

    def show_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
        if program.debug:
            before[0](unraisable)

    def show_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if program.debug:
            before[1](kind, error, trace)

    sys.unraisablehook, sys.excepthook = show_unraisable, show_error
    try:
        yield
    finally:
        sys.unraisablehook, sys.excepthook = before


def _hide_library_warnings(program: Program) -> None:
    """Show warnings, which libraries address to developers, only with ``--debug``; AAM itself logs and raises."""

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
    ) -> None:
        if program.debug:
            click.echo(f"{filename}:{lineno}: {category.__name__}: {printable(str(message))}", err=True)

    warnings.showwarning = show

"""``aam simulate``."""

from __future__ import annotations

import time
from collections.abc import Callable

from aam_cli.command import config_command
from aam_cli.config import SimulateConfig
from aam_cli.errors import Program
from aam_data.errors import DataError

SECONDS_BETWEEN_LINES = 10.0


@config_command("simulate", SimulateConfig)
def command(config: SimulateConfig, program: Program) -> None:
    """Clades of the tree rise and fall with an environment that the metadata describe; truth.json says how.
    The same options give the same study. A million samples take minutes.
    """
    from aam_data.simulate.study import run_simulate

    directory = config.output.output_dir
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise DataError("exists already", file=directory, remedy="Give --output-dir a new or an empty folder")
    samples, features = run_simulate(config.study, directory, _progress(program, config.study.samples))
    program.say(f"{directory}: {samples:,} samples, {features:,} ASVs")


def _progress(program: Program, samples: int) -> Callable[[int], None]:
    """Notes how many samples are drawn: every few seconds, and at the end where it took that long."""
    started = last = time.monotonic()

    def show(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        late = now - last >= SECONDS_BETWEEN_LINES
        if late or (done == samples and last > started):
            last = now
            program.note(f"{done:,} of {samples:,} samples drawn, {now - started:.0f} s")
        if done == samples and last > started:
            program.note("writing table, tree, sequences and metadata")

    return show

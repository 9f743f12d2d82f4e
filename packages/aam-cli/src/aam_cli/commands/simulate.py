"""``aam simulate``."""

from __future__ import annotations

import time
from collections.abc import Callable

from aam_cli.command import config_command
from aam_cli.config import SimulateConfig
from aam_cli.errors import Program
from aam_data.errors import DataError

SECONDS_BETWEEN_LINES = 10.0


@config_command("simulate", SimulateConfig, example="aam simulate --samples 200 --output-dir study")
def command(config: SimulateConfig, program: Program) -> None:
    """Clades of the tree rise and fall with an environment that the metadata describe; truth.json records how.
    The same options produce the same study. A million samples take minutes.
    """
    from aam_data.simulate.study import run_simulate
    from aam_data.writers.plain_files import sole_writer

    directory = config.output.output_dir
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise DataError(
            "exists already",
            code="output-exists",
            file=directory,
            remedy="Use a new or an empty folder for --output-dir",
        )
    with sole_writer(directory, "--output-dir"):
        samples, features = run_simulate(config.study, directory, _progress(program, config.study.samples))
    program.print(f"{directory}: {samples:,} samples, {features:,} ASVs")


def _progress(program: Program, samples: int) -> Callable[[int], None]:
    """Return a callback that logs the number of simulated samples every few seconds, and at the end of a long run."""
    started = last = time.monotonic()

    def show(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        late = now - last >= SECONDS_BETWEEN_LINES
        if late or (done == samples and last > started):
            last = now
            program.log(f"{done:,} of {samples:,} samples simulated, {now - started:.0f} s")
        if done == samples and last > started:
            program.log("writing table, tree, sequences and metadata")

    return show

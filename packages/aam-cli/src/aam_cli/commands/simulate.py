"""``aam simulate``."""

from __future__ import annotations

from aam_cli.command import config_command
from aam_cli.config import SimulateConfig
from aam_cli.errors import Program
from aam_data.errors import DataError


@config_command("simulate", SimulateConfig)
def command(config: SimulateConfig, program: Program) -> None:
    """Clades of the tree rise and fall with an environment that the metadata describe; truth.json says how.
    The same options give the same study.
    """
    from aam_data.simulate import simulate_study, write_simulated_study

    directory = config.output.output_dir
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise DataError("exists already", file=directory, remedy="Give --output-dir a new or an empty folder")
    study = simulate_study(config.study)
    write_simulated_study(study, directory)
    program.say(f"{directory}: {study.table.n_samples:,} samples, {study.table.n_features:,} ASVs")

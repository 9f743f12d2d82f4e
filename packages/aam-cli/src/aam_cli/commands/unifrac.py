"""``aam unifrac``."""

from __future__ import annotations

from aam_cli.command import config_command
from aam_cli.config import UnifracConfig
from aam_cli.errors import Program
from aam_cli.progress import ProgressLine
from aam_train.errors import RunStopped
from aam_train.signals import exit_code_of


@config_command(
    "unifrac", UnifracConfig, example="aam unifrac --table table.biom --tree tree.nwk --output distances.h5"
)
def command(config: UnifracConfig, program: Program) -> None:
    """Pretraining learns unweighted UniFrac by default. Samples without reads on the tree are left out. The same
    command continues an interrupted matrix.
    """
    from aam_data.unifrac.command import run_unifrac

    progress = ProgressLine(program, config.unifrac.unifrac_metric)
    try:
        output = run_unifrac(config.table, config.unifrac, program.log, progress)
    except KeyboardInterrupt as interrupt:
        done = f"{progress.share:.0%} done; the same command continues from there"
        raise RunStopped(done if progress.share else "nothing was written", exit_code_of(interrupt)) from interrupt
    finally:
        progress.close()
    program.print(f"wrote {output}")

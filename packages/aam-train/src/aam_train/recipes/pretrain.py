"""`aam pretrain`: a table and its tree -> an encoder. Read from top to bottom."""

from __future__ import annotations

from pathlib import Path

from aam_data.study.study import Study
from aam_train.files import write_json
from aam_train.objectives.report import constants_of, draw_curves, report_encoder, result_lines
from aam_train.objectives.validation import build_validator
from aam_train.options.recipe_configs import PretrainConfig
from aam_train.parallel.consistency import check_same_on_all_ranks
from aam_train.parallel.ranks import entered_on_rank_zero
from aam_train.recipes.inputs import RunInputs
from aam_train.recipes.launch import run_recipe
from aam_train.reporting.tensorboard import log_report_plots
from aam_train.runs.folder import RunFolder
from aam_train.runs.model_files import input_records
from aam_train.runs.records import TrainingRecord
from aam_train.setup.encoder_setup import set_up_encoder
from aam_train.setup.run_context import RunContext
from aam_train.setup.training_setup import TrainingSetup
from aam_train.training.fit import TrainingRun
from aam_train.versions import versions


def pretrain(
    config: PretrainConfig, inputs: RunInputs | None = None, *, quiet: bool = False, verbose: bool = False
) -> Path:
    """Pretrain an encoder.

    Args:
        config: all settings.
        inputs: as returned by `read_run_inputs` for the same settings; read here by default.
        quiet: print warnings only.
        verbose: print all metrics and the throughput of every epoch.

    Returns:
        The run folder.

    Raises:
        DataError, ModelError, TrainError: something the user can change.
        RunStopped: after a signal.

    Example:
        >>> table = TableOptions(Path("table.biom"))
        >>> tree = PhylogenyOptions(tree=Path("tree.nwk"))
        >>> pretrain(PretrainConfig(table, RunOptions(Path("runs/encoder")), tree))  # doctest: +SKIP
        PosixPath('runs/encoder')
    """
    return run_recipe(_pretrain, config, inputs, quiet=quiet, verbose=verbose)


def _pretrain(config: PretrainConfig, inputs: RunInputs, context: RunContext) -> Path:
    folder, ranks = inputs.folder, context.ranks
    check_same_on_all_ranks(ranks, config, input_records(inputs.study), [folder.resume])
    # 1. data, model and loss
    setup = set_up_encoder(config, inputs.study, context, is_new=folder.resume is None)
    data, batch_size = setup.data, config.run.batch_size
    record = _record(config, inputs.study, setup)
    with entered_on_rank_zero(ranks, folder.open(record.inputs, context.console)):
        ranks.on_rank_zero(lambda: setup.splits.write(folder.path / "splits.tsv", setup.groups))
        # 2. fit
        has_validation = bool(setup.splits.validation)
        last_step = TrainingRun(
            config=config,
            folder=folder,
            context=context,
            setup=setup,
            record=record,
            validate=build_validator(data, setup.terms, "validation", batch_size) if has_validation else None,
            calibrated_preprocessor=lambda: data.preprocessor,
        ).run()
        # 3. report
        _report(config, folder, context, setup, record, last_step)
    return folder.path


def _record(config: PretrainConfig, study: Study, setup: TrainingSetup) -> TrainingRecord:
    return TrainingRecord(
        command="pretrain",
        inputs=input_records(study),
        targets=[],
        samples={part: len(rows) for part, rows in setup.data.rows.items()},
        versions=versions(),
        unifrac_metric=config.phylogeny.pair_metric,
        unifrac_alpha=config.phylogeny.unifrac_alpha,
        constant=constants_of(setup.data, setup.terms),
    )


def _report(
    config: PretrainConfig,
    folder: RunFolder,
    context: RunContext,
    setup: TrainingSetup,
    record: TrainingRecord,
    last_step: int,
) -> None:
    """Evaluate the encoder on held-out samples, on all processes; write and draw on the first."""
    report = folder.report if context.ranks.is_rank_zero else None
    metric = config.phylogeny.pair_metric
    results = report_encoder(
        setup.step, setup.data, setup.terms, config.run.batch_size, report, metric, record.constant
    )
    if report is not None:
        write_json(report / "results.json", results)
        draw_curves(folder.path)
        log_report_plots(folder.path, last_step)
    for line in result_lines(results):
        context.console.note(line)

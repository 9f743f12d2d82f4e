"""Transfer of a pretrained encoder into a predictor, with a report of what was transferred."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aam_data.errors import first_few
from aam_data.options.files import PhylogenyOptions, TableOptions
from aam_data.preprocessing.preprocessor import Preprocessor
from aam_data.splits.splits import Splits, read_splits
from aam_models.config.encoder import EncoderConfig
from aam_models.encoder.pretraining_heads import PRETRAINING_HEADS
from aam_models.predictor.predictor import Predictor
from aam_models.storage.model_folder import WEIGHTS, load_model
from aam_train.objectives.registry import OBJECTIVES
from aam_train.runs.checkpoints import model_folder, run_folder_of
from aam_train.runs.model_parts import read_parts
from aam_train.runs.records import TrainingRecord

# Heads of pretraining: they may be absent on either side, everything else must match.
OPTIONAL_PARTS = tuple(part for head in PRETRAINING_HEADS.values() for part in (head.module, *head.more_modules))


@dataclass(frozen=True)
class PretrainedEncoder:
    """A pretrained encoder: its folder, configuration, preprocessor and training record."""

    folder: Path
    config: EncoderConfig
    preprocessor: Preprocessor
    record: TrainingRecord

    @property
    def weights(self) -> Path:
        """The file of its weights."""
        return self.folder / WEIGHTS

    def calibrated(self, options: PhylogenyOptions, distance_scale: float) -> set[str]:
        """Return the objectives whose heads are calibrated for these distances too."""
        then = (self.record.unifrac_metric, self.record.unifrac_alpha, self.config.distance_scale)
        now = (options.pair_metric, options.unifrac_alpha, distance_scale)
        return {
            name
            for name in self.config.objectives
            if OBJECTIVES[name].calibration_key(then) == OBJECTIVES[name].calibration_key(now)
        }


def read_pretrained(path: Path) -> PretrainedEncoder:
    """Read a model or run folder, without its weights."""
    folder = model_folder(path)
    parts = read_parts(folder)
    return PretrainedEncoder(folder, parts.encoder, parts.preprocessor, parts.record)


def seen_in_pretraining(pretrained: PretrainedEncoder, splits: Splits) -> str | None:
    """Return a note if evaluation samples were among the encoder's training samples; a warning if with targets."""
    run = run_folder_of(pretrained.folder)
    if run is None or not (run / "splits.tsv").is_file():
        return None
    before = set(read_splits(run / "splits.tsv").train)
    if targets := pretrained.record.targets:
        evaluated = {*splits.test, *splits.validation, *splits.calibration}
        if not (both := before & evaluated):
            return None
        return (
            f"warning: the encoder was trained on {len(both):,} of the {len(evaluated):,} validation and test samples "
            f"with their values of {', '.join(targets)}, so scores are too optimistic. Use --splits-from {run}: "
            f"{first_few(sorted(both))}"
        )
    if not (both := before & set(splits.test)):
        return None
    return (
        f"{len(both):,} of the {len(splits.test):,} held-out samples were used, without their targets, in pretraining: "
        f"{first_few(sorted(both))}"
    )


def other_trimming(pretrained: PretrainedEncoder, table: TableOptions) -> str | None:
    """Return a warning if the encoder was pretrained on sequences of another trimming."""
    before, now = pretrained.preprocessor.trim_length, table.trim_length
    return f"warning: the encoder was pretrained with --trim-length {before}, this is {now}" if before != now else None


def load_encoder(predictor: Predictor, pretrained: PretrainedEncoder, *, freeze: bool) -> str:
    """Copy the encoder's weights into the predictor.

    Returns:
        A report of what was loaded, what is new, what was not transferred and what is frozen.
    """
    loaded = load_model(pretrained.folder)
    source = loaded.encoder if isinstance(loaded, Predictor) else loaded
    there, wanted = source.state_dict(), predictor.encoder.state_dict()
    shared = {name: tensor for name, tensor in there.items() if name in wanted}
    # `check_same_size` made the encoders equal but for the heads, so the difference can only be heads
    assert all(name.startswith(OPTIONAL_PARTS) for name in there.keys() ^ wanted.keys())
    predictor.encoder.load_state_dict({**wanted, **shared})
    if freeze:
        predictor.encoder.requires_grad_(False)
    new = sorted(f"encoder.{name}" for name in wanted.keys() - there.keys())
    new += sorted(name for name in predictor.state_dict() if not name.startswith("encoder."))
    left = sorted(there.keys() - wanted.keys())
    n_frozen = sum(p.numel() for p in predictor.parameters() if not p.requires_grad)
    n_all = sum(p.numel() for p in predictor.parameters())
    return (
        f"encoder from {pretrained.folder}: {len(shared)} tensors loaded; new: {_parts(new)}; "
        f"left behind: {_parts(left)}; frozen: {n_frozen:,} of {n_all:,} parameters"
    )


def _parts(names: list[str]) -> str:
    """List the modules of these tensors, each once."""
    parts = dict.fromkeys(_optional_part(name) or name.rpartition(".")[0] for name in names)
    return ", ".join(parts) if parts else "nothing"


def _optional_part(name: str) -> str | None:
    return next((part for part in OPTIONAL_PARTS if name.removeprefix("encoder.").startswith(part)), None)

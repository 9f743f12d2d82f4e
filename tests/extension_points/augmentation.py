"""An augmentation of batches: A becomes T."""

from .extension import TRAIN, Extension

AUGMENTATION = Extension(
    2,
    {
        f"{TRAIN}/data/corruptions.py": [
            (
                "Corruptions = tuple[Corruption, ...]  # applied in this order",
                '''


@dataclass(frozen=True)
class SwapBases:
    """Replace A by T."""

    def apply(self, batch: BatchArrays) -> None:
        """Change tokens in place."""
        batch.tokens[batch.tokens == alphabet.A] = alphabet.T
''',
            ),
            (
                "    ratio = options.nuc_mask_ratio\n",
                "    if options.swap_bases:\n        return (SwapBases(),)\n",
            ),
        ],
        f"{TRAIN}/options/objective.py": [
            (
                '"""Share of the bases of each ASV that is masked."""',
                '\n    swap_bases: bool = False\n    """Replace A by T."""',
            )
        ],
    },
    """
from pathlib import Path
import numpy as np
from aam_data import SampleOptions, SimulateOptions, SplitOptions, TableOptions, read_study, simulate_study
from aam_data import write_simulated_study
from aam_data.splits.selection import make_splits
from aam_train import MaskingOptions, PretrainConfig, PretrainObjective, RunOptions
from aam_train.data.loading import BatchRequest
from aam_train.data.run_data import build_data
from aam_train.objectives.base import Sources
from aam_train.objectives.registry import build_objective
from aam_train.reporting.records import Reporters
write_simulated_study(simulate_study(SimulateOptions(samples=24, asvs=60)), Path("study"))
config = PretrainConfig(TableOptions(Path("study/table.biom")), RunOptions(Path("run")),
    objective=PretrainObjective(0.0, 1.0, 0.0), masking=MaskingOptions(swap_bases=True))
study = read_study(config.table)
(splits,) = make_splits(study, np.arange(24), config.split, 1, None)
data = build_data(config, study, splits, depth=100, max_bp=150, reporter=Reporters())
objective = build_objective(config.weights(), Sources(masking=config.masking))
batch = data.maker[BatchRequest(data.rows["train"], 0, objective.corruptions)]
assert not (batch.tokens == 1).any() and (batch.tokens == 4).any()
""",
)

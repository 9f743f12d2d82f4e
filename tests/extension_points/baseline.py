"""A baseline: the value of the nearest sample in the order of the study."""

from .extension import TRAIN, Extension

BASELINE = Extension(
    3,
    {
        f"{TRAIN}/options/baselines.py": [
            (
                '"lightgbm": BaselineName("LightGBM", "LightGBM", is_fast=False),',
                '\n    "neighbour": BaselineName("neighbour", "the neighbour"),',
            )
        ],
        f"{TRAIN}/baselines/neighbour.py": [
            (
                "",
                """
import numpy as np
class Fitted:
    def __init__(self, rows, values):
        self.rows, self.values = rows, values
    def predict(self, rows):
        return self.values[np.abs(rows[:, None] - self.rows).argmin(axis=1)]
class Neighbour:
    name = "neighbour"
    def lacks(self, data):
        return None
    def too_large(self, data):
        return None
    def fit(self, data, rows):
        return Fitted(rows, data.targets[rows])
""",
            )
        ],
        f"{TRAIN}/baselines/registry.py": [
            (
                '"lightgbm": lambda options: GradientBoosting(options.seed),',
                '\n    "neighbour": lambda options: Neighbour(),',
            ),
            (
                "from aam_train.baselines.linear import ClrLinear",
                "\nfrom aam_train.baselines.neighbour import Neighbour",
            ),
        ],
    },
    """
from types import SimpleNamespace
import numpy as np
from aam_train import TransferOptions
from aam_train.baselines.random_forest import ForestOptions
from aam_train.baselines.registry import compute_baselines
from aam_train.options.baselines import chosen_baselines
assert TransferOptions(baselines="neighbour").baselines == "neighbour"
data = SimpleNamespace(targets=np.arange(6.0)[:, None], learned=np.array([0, 3]), rows={"test": np.array([1, 5])})
found = compute_baselines(data, ForestOptions(1), chosen_baselines("neighbour")[1:])
assert found.outputs["neighbour"].tolist() == [[0.0], [3.0]], found
""",
)

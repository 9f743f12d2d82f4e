"""A metric: Matthews correlation."""

from .extension import TRAIN, Extension

METRIC = Extension(
    1,
    {
        f"{TRAIN}/options/metrics.py": [
            ('"balanced_accuracy", "f1", "auc"', ', "mcc"'),
            (
                '"auc": Metric("class", higher_is_better=True),',
                '\n    "mcc": Metric("class", higher_is_better=True, sklearn="matthews_corrcoef"),',
            ),
        ]
    },
    """
from pathlib import Path
import numpy as np
from aam_data import MetadataOptions, TableOptions, TargetOptions
from aam_train import RunOptions, TrainConfig, TransferOptions
from aam_train.evaluation.metrics import classification_metrics
found = classification_metrics(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]]))
assert found["mcc"] == 1.0, found
files = TableOptions(Path("table")), MetadataOptions(Path("metadata"))
for classifier in (True, False):
    try:
        target, transfer = TargetOptions(("status",), classifier), TransferOptions(best_metric="mcc")
        TrainConfig(*files, target, RunOptions(Path("run")), transfer)
    except ValueError as error:
        assert not classifier and "--best-metric mcc" in str(error), error
    else:
        assert classifier
""",
)

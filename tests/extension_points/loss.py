"""A loss of numeric targets: the logarithm of cosh."""

from .extension import TRAIN, Extension

LOSS = Extension(
    2,
    {
        f"{TRAIN}/options/losses.py": [
            ('Literal["mse", "mae", "huber", "quantile", "asymmetric"', ', "logcosh"'),
            (
                'f", too high costs {settings.over_penalty:g}, too low {settings.under_penalty:g}",\n    ),',
                '\n    "logcosh": LossKind(),',
            ),
        ],
        f"{TRAIN}/losses/regression.py": [
            (
                "REGRESSION_LOSSES: dict[str, Callable[[Tensor, LossParameters], Tensor]] = {",
                '\n    "logcosh": lambda residuals, parameters: residuals.squeeze(1).cosh().log(),',
            ),
        ],
    },
    """
import torch
from aam_train import TrainObjective
from aam_train.losses.targets import NumberLoss
(settings,) = TrainObjective(loss_type="logcosh").losses(("age",))
assert settings.in_words() == "logcosh"
loss = NumberLoss("logcosh")(torch.tensor([[0.0], [1.0]]), torch.tensor([0.0, 3.0]))
assert torch.allclose(loss, torch.tensor([0.0, 2.0]).cosh().log())
""",
)

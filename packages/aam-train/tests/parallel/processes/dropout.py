"""`aam` that remembers what dropout keeps: ``python dropout.py FOLDER aam-arguments...``.

Process R writes ``FOLDER/R.npz`` with one array for each training step: which hidden values of the head were kept.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from aam_cli.main import main
from aam_train.parallel.environment import rank_info_from_env


def remember(kept: list[np.ndarray]) -> None:
    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        if isinstance(module, nn.Dropout) and module.training:
            kept.append((output != 0).numpy())

    register_module_forward_hook(hook)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, found = Path(sys.argv[1]), []
    del sys.argv[1]
    remember(found)
    try:
        main()
    finally:
        np.savez(folder / f"{rank_info_from_env().rank}.npz", *found)

"""Sharded checkpoints: one safetensors file per process and an index; to resume a run, on any number of processes.

``parts.json`` contains the global shape and type of each tensor, and which file has which of its rows. Weights have the
prefix ``model.``, the optimizer's state has names such as ``optimizer.KIND.NAME``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from aam_models.errors import ModelError
from aam_models.storage.model_folder import write_tensors
from aam_train.files import read_json_object, write_json
from aam_train.parallel import torch_compat as compat
from aam_train.runs.checkpoints import SHARD_INDEX

MODEL, OPTIMIZER = "model.", "optimizer."
_FILE = re.compile(r"part-\d+-of-\d+\.safetensors")
_STORED = (torch.float64, torch.float32, torch.bfloat16, torch.int64)  # the last: codes of categories
_TYPES = {str(kind).removeprefix("torch."): kind for kind in _STORED}


@dataclass(frozen=True)
class Shard:
    """Rows ``offset : offset + rows`` of a tensor, in ``file``; a scalar counts as one row."""

    file: str
    offset: int
    rows: int


def shard_file(rank: int, size: int) -> str:
    """Return the name of a process's file."""
    return f"part-{rank:05d}-of-{size:05d}.safetensors"


def write_shard(folder: Path, tensors: Mapping[str, Tensor], rank: int, size: int) -> None:
    """Write this process's rows of all tensors; the first process also writes tensors that are not sharded."""
    local = {
        name: compat.local_shard(tensor)
        for name, tensor in tensors.items()
        if (compat.is_sharded(tensor) and compat.local_shard(tensor).numel())
        or (rank == 0 and not compat.is_sharded(tensor))
    }
    write_tensors(folder / shard_file(rank, size), local)


def write_index(folder: Path, tensors: Mapping[str, Tensor], size: int) -> None:
    """Write ``parts.json``: the file and rows of every shard of every tensor."""
    write_json(folder / SHARD_INDEX, {name: _entry(tensor, size) for name, tensor in tensors.items()})


def _entry(tensor: Tensor, size: int) -> dict[str, Any]:
    length = tensor.shape[0] if tensor.dim() else 1
    if compat.is_sharded(tensor):
        bounds = [(rank, *compat.shard_bounds(length, rank, size)) for rank in range(size)]
        shards = [Shard(shard_file(rank, size), first, last - first) for rank, first, last in bounds if last > first]
    else:
        shards = [Shard(shard_file(0, size), 0, length)]
    kind = str(tensor.dtype).removeprefix("torch.")
    return {"shape": list(tensor.shape), "type": kind, "pieces": [asdict(shard) for shard in shards]}


class ShardedTensors(Mapping[str, Tensor]):
    """The tensors of a sharded checkpoint whose names start with ``prefix``, each assembled when it is accessed.

    Raises:
        ModelError: the index or a file is damaged.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder, self._prefix = folder, prefix
        content = read_json_object(folder / SHARD_INDEX)
        self._entries = {name.removeprefix(prefix): e for name, e in content.items() if name.startswith(prefix)}

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, name: str) -> Tensor:
        entry = self._entries[name]
        try:
            whole = torch.empty(entry["shape"], dtype=_TYPES[entry["type"]])
            rows, filled = whole.view(1) if whole.dim() == 0 else whole, 0
            for shard in (Shard(**each) for each in entry["pieces"]):
                if not _FILE.fullmatch(shard.file) or shard.offset != filled:
                    raise ValueError(f"{name}: {shard}")
                with safe_open(self._folder / shard.file, "pt") as file:
                    stored = file.get_tensor(self._prefix + name)
                rows[shard.offset : shard.offset + shard.rows].copy_(stored if stored.dim() else stored.view(1))
                filled += shard.rows
            if filled != len(rows):
                raise ValueError(f"{name}: {filled} of {len(rows)} rows")
        except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
            raise ModelError(
                f"{self._folder / SHARD_INDEX}: not the index of a sharded checkpoint ({error})"
            ) from error
        return whole

"""Checkpoints in parts: one safetensors file a process and an index; for continuing a run, on any number of processes.

``parts.json`` says of each tensor its global shape and type, and which file holds which of its rows. A weight stands
under ``model.NAME``, the optimizer's state under ``optimizer.KIND.NAME``.
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
from aam_train.runs.checkpoints import PARTS

MODEL, OPTIMIZER = "model.", "optimizer."
_PART = re.compile(r"part-\d+-of-\d+\.safetensors")
_KEPT = (torch.float64, torch.float32, torch.bfloat16, torch.int64)  # the last: codes of categories
_TYPES = {str(kind).removeprefix("torch."): kind for kind in _KEPT}


@dataclass(frozen=True)
class Piece:
    """Rows ``offset : offset + rows`` of a tensor, in ``file``; all of a tensor without rows."""

    file: str
    offset: int
    rows: int


def part_file(rank: int, size: int) -> str:
    """Name of a process's file."""
    return f"part-{rank:05d}-of-{size:05d}.safetensors"


def write_part(folder: Path, tensors: Mapping[str, Tensor], rank: int, size: int) -> None:
    """This process's parts; what is not divided is the first process's."""
    mine = {
        name: compat.local(tensor)
        for name, tensor in tensors.items()
        if (compat.is_divided(tensor) and compat.local(tensor).numel()) or (rank == 0 and not compat.is_divided(tensor))
    }
    write_tensors(folder / part_file(rank, size), mine)


def write_index(folder: Path, tensors: Mapping[str, Tensor], size: int) -> None:
    """``parts.json``: where all processes have put their parts."""
    write_json(folder / PARTS, {name: _entry(tensor, size) for name, tensor in tensors.items()})


def _entry(tensor: Tensor, size: int) -> dict[str, Any]:
    length = tensor.shape[0] if tensor.dim() else 1
    if compat.is_divided(tensor):
        cuts = [(rank, *compat.bounds(length, rank, size)) for rank in range(size)]
        pieces = [Piece(part_file(rank, size), first, last - first) for rank, first, last in cuts if last > first]
    else:
        pieces = [Piece(part_file(0, size), 0, length)]
    kind = str(tensor.dtype).removeprefix("torch.")
    return {"shape": list(tensor.shape), "type": kind, "pieces": [asdict(piece) for piece in pieces]}


class PartTensors(Mapping[str, Tensor]):
    """The tensors of a checkpoint in parts whose names begin with ``prefix``, put together when they are asked for.

    Raises:
        ModelError: the index or a file is not what it should be.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder, self._prefix = folder, prefix
        content = read_json_object(folder / PARTS)
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
            for piece in (Piece(**each) for each in entry["pieces"]):
                if not _PART.fullmatch(piece.file) or piece.offset != filled:
                    raise ValueError(f"{name}: {piece}")
                with safe_open(self._folder / piece.file, "pt") as file:
                    found = file.get_tensor(self._prefix + name)
                rows[piece.offset : piece.offset + piece.rows].copy_(found if found.dim() else found.view(1))
                filled += piece.rows
            if filled != len(rows):
                raise ValueError(f"{name}: {filled} of {len(rows)} rows")
        except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
            raise ModelError(f"{self._folder / PARTS}: not the index of a checkpoint in parts ({error})") from error
        return whole

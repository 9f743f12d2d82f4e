"""Changes to a BIOM file that keep it a valid HDF5 file: other types, shapes, values, storage, links, attributes."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import h5py
import numpy as np
from hypothesis import strategies as st

Change = Callable[[h5py.File], None]
MATRIX = [f"{axis}/matrix/{name}" for axis in ("sample", "observation") for name in ("data", "indices", "indptr")]
NAMES = [*MATRIX, "sample/ids", "observation/ids"]
_TYPES = [
    *("i1", "u1", "<i2", ">i4", "<i8", ">u8", "<f2", ">f4", "<f8", "c16", "?", "S5", "S0", "V4"),
    *(h5py.string_dtype(), h5py.string_dtype("ascii", 3), h5py.vlen_dtype(np.int32), h5py.ref_dtype),
    *(np.dtype([("a", "i4"), ("b", "f8")]), h5py.enum_dtype({"a": 0, "b": 7}, "i2"), np.dtype(("f8", (2,)))),
]
_NUMBERS = [0, 1, 2, 3, 4, 12, -1, 255, 2**31 - 1, 2**31, -(2**31), 2**53, 2**63 - 1, 0.5, 1e-300, 1e300]
_STORAGE: list[dict[str, Any]] = [
    {},
    {"chunks": (2,), "compression": "gzip"},
    {"chunks": (5,), "compression": "gzip", "shuffle": True, "fletcher32": True},
    {"chunks": (3,), "compression": "lzf"},
    {"chunks": (4,), "scaleoffset": 0},
    {"chunks": (2**16,), "maxshape": (None,)},
    {"chunks": (1,), "maxshape": (None,), "fillvalue": 7},
]
_IDS = ["s1", "s2", "f1", "", " ", "a\tb", "\u00e9", "ACGT" * 10, "#x", "NA", "s1\0x", "\ud800"]


def changed(files: list[bytes]) -> st.SearchStrategy[bytes]:
    """Apply one to four changes to one of the files, without changes that HDF5 itself rejects."""
    return st.builds(_apply, st.sampled_from(files), st.lists(_changes, min_size=1, max_size=4))


def _apply(file: bytes, changes: list[Change]) -> bytes:
    content = BytesIO(file)
    with h5py.File(content, "a") as opened, np.errstate(all="ignore"):
        for change in changes:
            try:
                change(opened)
            except (OSError, ValueError, TypeError, LookupError, RuntimeError, AttributeError, ArithmeticError):
                continue
    return content.getvalue()


def _values(name: str, values: list[Any]) -> Change:
    """Change some entries."""

    def change(file: h5py.File) -> None:
        dataset = file[name]
        for i, value in enumerate(values):
            dataset[(i * 7) % len(dataset)] = value

    return change


def _anew(name: str, dtype: Any, shape: tuple[int, ...] | None, storage: dict[str, Any], written: bool) -> Change:
    """Create the dataset again; without its values if not ``written``."""

    def change(file: h5py.File) -> None:
        old = file[name][:100]  # an earlier change may have declared gigabytes
        old = old.real if old.dtype.kind == "c" else old  # or made them complex
        del file[name]
        if shape is None:
            file.create_dataset(name, data=h5py.Empty("f8"))
            return
        size = shape or old.shape
        dataset = file.create_dataset(name, size, dtype, **(storage if len(size) == 1 else {}))
        if written and dataset.size < 1000:
            dataset[...] = np.resize(old, size).astype(dtype) if np.dtype(dtype).kind != "O" else np.resize(old, size)

    return change


def _link(name: str, target: Any) -> Change:
    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file[name] = file["/sample"] if target is None else target

    return change


def _attribute(name: str, value: Any) -> Change:
    def change(file: h5py.File) -> None:
        file.attrs[name] = value

    return change


def _gone(name: str) -> Change:
    return lambda file: file.__delitem__(name)


_any_name = st.sampled_from([*NAMES, *NAMES, "sample", "sample/matrix", "observation", "sample/metadata"])
_shapes = st.sampled_from([None, (), (), (), (0,), (1,), (3,), (4,), (5,), (7,), (7, 1), (1, 7), (2, 2, 2), (10**9,)])
_changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(_values, st.sampled_from(MATRIX), st.lists(st.sampled_from(_NUMBERS), min_size=1, max_size=4)),
    st.builds(_values, st.sampled_from(MATRIX), st.lists(st.floats(), min_size=1, max_size=2)),
    st.builds(_values, st.sampled_from(NAMES[-2:]), st.lists(st.sampled_from(_IDS), min_size=1, max_size=3)),
    st.builds(
        _anew, st.sampled_from(NAMES), st.sampled_from(_TYPES), _shapes, st.sampled_from(_STORAGE), st.booleans()
    ),
    st.builds(
        _link,
        _any_name,
        st.sampled_from(
            [None, h5py.SoftLink("/sample/ids"), h5py.SoftLink("/no"), h5py.ExternalLink("x.h5", "/"), 5, "text", [1.5]]
        ),
    ),
    st.builds(
        _attribute,
        st.sampled_from(["shape", "nnz", "format-version", "id", "type"]),
        st.sampled_from(
            [0, -1, (4, 3), (3, 4), (4,), (4, 3, 1), "4,3", 1.5, (4.0, 3.0), (2**40, 3), [[4], [3]], b"\xff"]
        ),
    ),
    st.builds(_gone, _any_name),
)

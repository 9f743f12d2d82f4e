"""HDF5 files on a file system that takes no more bytes: an ordinary error, and a process that ends in order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from aam_data.writers.hdf5 import new_hdf5

# A limit on the size of files fails at the same calls as a full disk.
LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from aam_data.writers.hdf5 import new_hdf5
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    with new_hdf5(Path(sys.argv[1])) as file:
        for number in range(30):
            file.create_dataset(f"d{number}", data=np.arange(1000), chunks=(100,), compression="gzip")
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.parametrize("limit", [0, 100, 2000, 10_000, 50_000, 100_000, 120_000])
def test_a_failed_write_is_an_error_and_no_crash(tmp_path: Path, limit: int) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "x.h5"), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "File too large\n", "")


def test_contents_and_options_are_those_of_h5py(tmp_path: Path) -> None:
    values = np.arange(100_000, dtype=np.float32)
    with new_hdf5(tmp_path / "own.h5", alignment_threshold=1, alignment_interval=64) as file:
        file.create_dataset("a/values", data=values, chunks=(1000,), compression="gzip")
        file["text"] = "x"
        file.attrs["n"] = 3
    with h5py.File(tmp_path / "own.h5") as file:
        assert (file["text"].asstr()[()], file.attrs["n"], list(file)) == ("x", 3, ["a", "text"])
        np.testing.assert_array_equal(file["a/values"][:], values)
    with pytest.raises(FileExistsError), new_hdf5(tmp_path / "own.h5"):
        pass
    with pytest.raises(ZeroDivisionError), new_hdf5(tmp_path / "other.h5"):
        _ = 1 / 0

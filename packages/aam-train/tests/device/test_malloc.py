"""malloc keeps freed memory: measured by page faults in a child process, since the setting is process-wide."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

ON_GLIBC = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
BLOCK, TIMES, PAGE = 40 * 2**20, 5, 4096
CHILD = f"""
import ctypes, json, resource
from aam_train.device.malloc import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.memset.argtypes, libc.malloc.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t], [ctypes.c_size_t]

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({TIMES}):
        block = libc.malloc({BLOCK})
        libc.memset(block, 1, {BLOCK})
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
changed = keep_freed_memory()
print(json.dumps([changed, before, faults()]))
"""


def in_child(**variables: str) -> tuple[bool, int, int]:
    """Return whether the setting was changed, and the page faults of written and freed blocks before and after."""
    clean = {name: v for name, v in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    done = subprocess.run(
        [sys.executable, "-c", CHILD], env=clean | variables, check=True, capture_output=True, text=True
    )
    changed, before, after = json.loads(done.stdout)
    return changed, before, after


@pytest.mark.skipif(not ON_GLIBC, reason="the setting is glibc's")
def test_a_freed_block_is_used_again() -> None:
    changed, before, after = in_child()
    assert changed
    pages = BLOCK // PAGE
    assert before > (TIMES - 1) * pages / 600  # every time, even with huge pages of 2 MB
    assert after <= pages + 200  # the first time only


@pytest.mark.skipif(not ON_GLIBC, reason="the setting is glibc's")
@pytest.mark.parametrize("name", ["MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"])
def test_settings_of_the_user_are_kept(name: str) -> None:
    changed, _, _ = in_child(**{name: "65536" if name.startswith("MALLOC") else "glibc.malloc.check=0"})
    assert not changed

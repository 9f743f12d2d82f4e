"""malloc keeps freed memory: measured by page faults in a child process, since the setting is process-wide."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

from aam_train.device.malloc import HeapWatch

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


def test_memory_is_returned_when_gaps_have_enlarged_the_heap() -> None:
    heap = HeapWatch()
    assert [heap.is_due(used) for used in (100, 100, 110, 125)] == [False] * 4
    assert heap.is_due(126)
    # the step that follows needs less: a quarter more than the largest need is still allowed
    assert [heap.is_due(used) for used in (90, 120, 125)] == [False] * 3
    assert heap.is_due(130)
    # a batch that needs more than any before raises the need, if it follows a return
    assert [heap.is_due(used) for used in (160, 200)] == [False] * 2
    assert heap.is_due(201)


def test_memory_is_returned_near_a_limit() -> None:
    heap = HeapWatch()
    assert [heap.is_due(used, most=80) for used in (100, 81, 80, 70)] == [True, True, False, False]
    assert not heap.is_due(110)

"""Runner of a profiled program, started by path: ``python torch_runner.py OUT (SCRIPT | -m MODULE) [ARGS]...``.

The program runs in this process under torch.profiler, with its own ``sys.argv``, ``sys.path`` and ``__main__``. This
module imports nothing of its package, because the interpreter may be another one. The profile covers only this process:
its CPU operations or, with a GPU, all kernels that it launches; not child processes (data loaders, torchrun).
"""

import json
import os
import runpy
import sys
import time
from typing import Any


def main() -> None:
    """Run the program of the command line and write its profile, even if the program fails."""
    output, *rest = sys.argv[1:]
    as_module = rest[0] == "-m"
    program, *arguments = rest[1:] if as_module else rest
    sys.argv = [program, *arguments]
    sys.path[0] = os.getcwd() if as_module else os.path.dirname(os.path.realpath(program))

    import torch
    from torch.profiler import ProfilerActivity, profile

    on_gpu = torch.cuda.is_available()
    recorder = profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU])
    started = time.perf_counter_ns()
    recorder.start()
    try:
        if as_module:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(program, run_name="__main__")
    finally:
        wall = time.perf_counter_ns() - started
        recorder.stop()
        write(output, recorder, wall, on_gpu)


def write(output: str, recorder: Any, wall: int, on_gpu: bool) -> None:
    """Write the sums of all events as profile.json."""
    from torch.autograd import DeviceType  # type: ignore[attr-defined]

    kernels = []
    for event in recorder.key_averages():
        if on_gpu and (event.device_type == DeviceType.CPU or event.is_user_annotation):
            continue  # ranges named by users would count the kernels in them twice
        time_us = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        if time_us > 0:
            kernels.append({"name": event.key, "calls": event.count, "total_ns": 1000 * time_us})
    content = {
        "format": 1,
        "tool": "torch.profiler",
        "device": "GPU" if on_gpu else "CPU",
        "command": [],
        "wall_ns": wall,
        "kernels": kernels,
    }
    with open(output, "w", encoding="utf-8") as file:
        json.dump(content, file)


if __name__ == "__main__":
    main()

"""Where the time of a program's kernels goes: run it under a profiler, read what that wrote, sum up, compare."""

"""Time of a program's kernels: run it under a profiler, read the profiler's files, summarize, compare."""

"""Profiler ranges, throughput and torch.profiler traces."""

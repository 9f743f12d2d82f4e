"""Devices: precision, memory, peak speed."""

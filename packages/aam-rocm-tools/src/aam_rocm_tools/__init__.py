"""Diagnostics of PyTorch on AMD GPUs and clusters; everything also runs on other devices."""

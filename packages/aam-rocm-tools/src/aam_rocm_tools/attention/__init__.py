"""Attention kernels of this machine compared with the plain formula: numbers, time and memory."""

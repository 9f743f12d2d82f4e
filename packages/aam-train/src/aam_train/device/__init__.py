"""Devices: selection, seeds, precision, memory and peak FLOP/s."""

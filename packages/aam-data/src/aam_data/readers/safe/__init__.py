"""Bounded access to archives, HDF5 and npy files that may be damaged."""

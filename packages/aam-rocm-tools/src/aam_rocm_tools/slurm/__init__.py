"""Job scripts for Slurm: options as a dataclass, templates as package data."""

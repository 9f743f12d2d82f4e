"""Options of files, targets, metadata inputs and the simulator. Standard library only."""

"""Options of training and its commands. Standard library only."""

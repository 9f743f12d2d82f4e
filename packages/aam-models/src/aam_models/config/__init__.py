"""Configurations of models. Standard library only."""

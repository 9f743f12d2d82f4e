"""The subcommands in the order of ``aam --help``."""

from __future__ import annotations

COMMANDS = {
    "demo": "Run the whole pipeline on a simulated study.",
    "check": "Check a study's input files and report every problem.",
    "pretrain": "Learn an encoder from a table and its tree, without labels.",
    "train": "Learn to predict metadata, with or without a pretrained encoder.",
    "lr-find": "Search for a learning rate.",
    "predict": "Predict the samples of a table with a trained model.",
    "evaluate": "Evaluate a model on labelled samples.",
    "embed": "Write the embeddings of samples or ASVs.",
    "rf-baseline": "Train a random-forest baseline.",
    "show": "Describe a model, a run or a data file.",
    "unifrac": "Write UniFrac distances or Faith's PD of a whole table.",
    "corpus": "Collect studies in one folder to pretrain on all of them.",
    "simulate": "Simulate a study with known truth.",
    "slurm": "Write a job script for Slurm.",
    "doctor": "Report hardware and PyTorch setup, and flag known problems.",
}

"""The subcommands in the order of ``aam --help``: each is ``command`` in the module of its name."""

COMMANDS = {
    "demo": "Run everything once on a simulated study.",
    "check": "Say what a study's files hold and all that is wrong with them.",
    "pretrain": "Learn an encoder from a table and its tree, without labels.",
    "train": "Learn to predict metadata, with or without a pretrained encoder.",
    "lr-find": "Search for a learning rate.",
    "predict": "Predict the samples of a table with a trained model.",
    "evaluate": "Judge a model on samples whose truth is known.",
    "embed": "Write the embeddings of samples or ASVs.",
    "rf-baseline": "Predict metadata with a random forest, to compare with.",
    "show": "Say what a model, a run or a file is.",
    "unifrac": "Write UniFrac distances or Faith's PD of a whole table.",
    "simulate": "Simulate a study with known truth.",
    "slurm": "Write a job script for Slurm.",
    "doctor": "Say what this machine and its PyTorch are, and what is wrong with them.",
}

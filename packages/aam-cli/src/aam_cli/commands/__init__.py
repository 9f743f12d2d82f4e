"""The subcommands in the order of ``aam --help``: each is ``command`` in the module of its name."""

COMMANDS = {
    "simulate": "Simulate a study with known truth: table, tree, sequences, metadata.",
}

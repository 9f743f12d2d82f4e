"""Trees in Newick format."""

"""Reader of trees in Newick format."""

"""The frame of sequences: where on the gene a model's reads start, and how other reads are brought there."""

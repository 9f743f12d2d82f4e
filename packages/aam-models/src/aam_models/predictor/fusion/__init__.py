"""Ways to join metadata and sample embeddings."""

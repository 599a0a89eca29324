"""Which sampler and pruner to search with, measured on recorded learning curves."""

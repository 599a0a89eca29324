"""A two-tower recommender: data, training on causal windows, evaluation, retrieval."""

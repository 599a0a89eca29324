"""recsys: a two-tower recommender trained on whole users with causal windows."""

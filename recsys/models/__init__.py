"""All models with weights or scores: the two-tower model, item neighbours, baselines."""

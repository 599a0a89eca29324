"""Full-ranking metrics, their confidence intervals, segments and cold-start figures."""

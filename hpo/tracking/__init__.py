"""The mirror of a study in MLflow: contents of its runs, writes of what is missing, comparison."""

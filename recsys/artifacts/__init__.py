"""A trained model on disk and in MLflow: checkpoints, runs, exported pair scorers."""

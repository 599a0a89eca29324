"""Files of trained models: checkpoints, their MLflow runs, exported scorers."""

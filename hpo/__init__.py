"""hpo: tunes recsys with Optuna, shows it in MLflow, promotes the winner."""

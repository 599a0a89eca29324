"""Run optuna-dashboard and the MLflow UI behind a host guard."""

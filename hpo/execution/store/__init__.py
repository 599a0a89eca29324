"""The launcher's access to the Optuna storage: cache, epochs in groups, outages."""

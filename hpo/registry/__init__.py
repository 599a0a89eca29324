"""The MLflow Model Registry: aliases, verified files, the pyfunc flavour, recipes."""

"""Mirror a study into MLflow: build the runs' contents, send what is missing, compare."""

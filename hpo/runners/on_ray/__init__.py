"""The runner on a Ray cluster."""

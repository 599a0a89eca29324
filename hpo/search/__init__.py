"""The choice of configurations and of trials to stop: samplers, constraints, pruners."""

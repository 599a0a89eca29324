"""Choose what to try and when to stop: samplers, constraints, pruners."""

"""The workflow around the gate: promote, retrain, roll back, register."""

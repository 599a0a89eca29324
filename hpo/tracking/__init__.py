"""The MLflow mirror: what runs must hold, and writing what they lack."""

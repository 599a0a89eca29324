"""A study's configuration: TOML file, search space, store locations. Holds no Optuna objects."""

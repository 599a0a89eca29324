"""Tune `recsys` with Optuna, mirror the study in MLflow, promote the winner.

The modules here are the commands; each package below has one purpose, and `api` is for Python:

    import hpo

    result = hpo.tune("demo", n_trials=20)  # or a path, a DataFrame, (users, items, times)
    result.best_config, result.trials
    result.promote()
    hpo.load_champion().recommend("u0001", k=5)

Names are loaded on first use, so that `import hpo` costs nothing.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

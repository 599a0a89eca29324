"""Run optuna-dashboard and the MLflow UI behind a host guard."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

"""The mirror of a study in MLflow: contents of its runs, writes of what is missing, comparison."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

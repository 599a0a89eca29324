"""All models with weights or scores: the two-tower model, item neighbours, baselines."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

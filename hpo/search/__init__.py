"""The choice of configurations and of trials to stop: samplers, constraints, pruners."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

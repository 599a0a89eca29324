"""The gate between a model and the champion alias: race, refit, one comparison on test, rules."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

"""The choice of configurations, of trials to stop, and of the number that share a card."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

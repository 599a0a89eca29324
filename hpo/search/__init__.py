"""The next configuration to try, the trials to stop, and how many workers share a GPU."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

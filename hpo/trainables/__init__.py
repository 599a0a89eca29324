"""Models to tune: the two-tower, and recommenders of the user's own by the name of a class."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

"""Training of a two-tower model: windows, negatives, loss, optimizer, epochs, snapshots."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

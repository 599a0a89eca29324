"""Data sets by name or path (demo, MovieLens-100K, files), and the encoding of their features."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

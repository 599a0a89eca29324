"""A stored study: its storage and locks, records, files and data, and the replay of its trials."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

"""Readers of all supported files, with `recsys.data.dataset.Dataset` as the result.

The modules find files, read text and Parquet, recognise columns and times, and report problems
with file and line.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

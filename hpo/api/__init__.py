"""Studies from Python: tune, look at the results, report, promote, load the champion.

The engine, the storage and the guarantees are those of the commands.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

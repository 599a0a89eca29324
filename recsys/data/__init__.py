"""Plain arrays of interactions, features and splits, the input of every other package.

The package imports numpy, polars and safetensors only.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

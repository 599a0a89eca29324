"""The MLflow Model Registry: aliases, verified files, the pyfunc flavour, recipes.

Only two-towers are registered; a model of the user's own is refused by `hpo.promote`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

"""Mirror a study into MLflow: build the runs' contents, send what is missing, compare."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

"""A study's configuration: TOML file, search space, store locations; no Optuna objects.

`toml_file` alone reads study files, `study_config` checks each key, `cross_checks` several at once.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

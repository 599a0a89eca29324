"""Messages to a webhook or a command when a study ends or a model is registered: [notify]."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

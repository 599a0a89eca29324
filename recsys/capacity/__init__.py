"""Needs of a training before it starts: memory, seconds, and the machine that has both.

Memory is reckoned from sizes. Seconds are slopes of what a step handles, measured once, times the
slowness of the processor at hand, which a few small kernels tell.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

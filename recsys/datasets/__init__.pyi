from .registry import NAMES as NAMES, cache_folder as cache_folder
from .settings import load_as_set as load_as_set

from .features import with_features as with_features
from .registry import NAMES as NAMES, cache_folder as cache_folder, load_dataset as load_dataset

from .database import absolute_url as absolute_url
from .features import with_features as with_features
from .frames import (
    InMemory as InMemory,
    naming_tables as naming_tables,
    write_tables as write_tables,
)
from .python_words import noting_arguments as noting_arguments
from .registry import NAMES as NAMES, cache_folder as cache_folder, load_dataset as load_dataset
from .settings import load_as_set as load_as_set

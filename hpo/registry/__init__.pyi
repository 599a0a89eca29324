from . import versions as versions
from .model_store import (
    ModelRefused as ModelRefused,
    ModelStore as ModelStore,
    Reference as Reference,
    manifest_tag as manifest_tag,
)
from .pyfunc import save_pyfunc as save_pyfunc
from .recipe import Recipe as Recipe
from .versions import CHAMPION as CHAMPION

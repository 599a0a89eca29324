from .baselines import BASELINES as BASELINES, MAX_ITEMS as MAX_ITEMS, Popularity as Popularity
from .history import (
    NEWEST as NEWEST,
    History as History,
    gathered as gathered,
    histories as histories,
)
from .ineffective import ineffective_parameters as ineffective_parameters
from .neighbours import (
    MAX_EASE_ITEMS as MAX_EASE_ITEMS,
    MAX_PAIRS as MAX_PAIRS,
    REACH as REACH,
)
from .pooling import ByItem as ByItem, Pooling as Pooling, pool_weights as pool_weights
from .scorer import Scorer as Scorer
from .size import model_mb as model_mb
from .towers import Towers as Towers
from .transfer import taken as taken, to_device as to_device
from .two_tower import TwoTower as TwoTower, new_model as new_model

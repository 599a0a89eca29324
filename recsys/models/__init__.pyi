from .baselines import BASELINES as BASELINES, MAX_ITEMS as MAX_ITEMS, Popularity as Popularity
from .history import History as History, histories as histories, ranges as ranges
from .neighbours import MAX_UNORDERED_ITEMS as MAX_UNORDERED_ITEMS, has_neighbours as has_neighbours
from .scorer import Scorer as Scorer
from .size import model_mb as model_mb
from .two_tower import TwoTower as TwoTower, new_model as new_model

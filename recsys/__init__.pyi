from .artifacts import Checkpoint as Checkpoint, load as load, save as save
from .config import (
    Hyperparameters as Hyperparameters,
    TrainConfig as TrainConfig,
    within as within,
)
from .data import (
    Dataset as Dataset,
    Filters as Filters,
    Holdout as Holdout,
    Interactions as Interactions,
    Split as Split,
    split as split,
)
from .datasets import load_dataset as load_dataset, with_features as with_features
from .errors import RecsysError as RecsysError
from .evaluation import Evaluator as Evaluator, Metrics as Metrics
from .models import Popularity as Popularity
from .readers import Columns as Columns
from .retrieval import Answer as Answer, Recommender as Recommender
from .training import EpochResult as EpochResult, Fit as Fit

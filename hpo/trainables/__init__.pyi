from .fit import (
    new_training as new_training,
    no_snapshot as no_snapshot,
    trained_scorer as trained_scorer,
)
from .loading import (
    hyperparameters_of as hyperparameters_of,
    reference_to as reference_to,
)
from .protocol import ModelTraining as ModelTraining, Trainable as Trainable

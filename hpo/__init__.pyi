from .api import (
    StudyResult as StudyResult,
    load_champion as load_champion,
    load_study as load_study,
    tune as tune,
)
from .errors import HpoError as HpoError
from .execution import TrialEnd as TrialEnd
from .trainables import Trainable as Trainable

from .dataset import Dataset as Dataset, ReadyMade as ReadyMade
from .events import Events as Events, join as join, without_equal_times as without_equal_times
from .features import FEATURES as FEATURES, Features as Features, Ints32 as Ints32, Ints64 as Ints64
from .filtering import NO_FILTERS as NO_FILTERS, Filters as Filters, filtered as filtered
from .holdout_file import load_holdout as load_holdout, save_holdout as save_holdout
from .interactions import (
    Bools as Bools,
    Floats32 as Floats32,
    Interactions as Interactions,
    Repeats as Repeats,
    sorted_ids as sorted_ids,
)
from .ragged import ranges as ranges, spans as spans
from .splitting import (
    EVAL_USERS as EVAL_USERS,
    TEST as TEST,
    TRAIN as TRAIN,
    VALIDATION as VALIDATION,
    Holdout as Holdout,
    Method as Method,
    Split as Split,
    split as split,
)

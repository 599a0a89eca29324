from .epoch import AVERAGES_PER_EPOCH as AVERAGES_PER_EPOCH, EpochResult as EpochResult
from .fit import Fit as Fit, train as train
from .resources import (
    FLOAT32 as FLOAT32,
    FLOP_PER_THREAD as FLOP_PER_THREAD,
    GB as GB,
    MemoryNeed as MemoryNeed,
    Sizes as Sizes,
    StepSizes as StepSizes,
    forget_peaks as forget_peaks,
    free_memory as free_memory,
    is_out_of_memory as is_out_of_memory,
    memory_need as memory_need,
    peak_resident_mb as peak_resident_mb,
    release_memory as release_memory,
    torch_threads as torch_threads,
    useful_threads as useful_threads,
)
from .snapshot import check_snapshot as check_snapshot
from .windows import trained_users as trained_users

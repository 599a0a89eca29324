from .capacity import Capacity as Capacity, shown_seconds as shown_seconds
from .epoch import EpochResult as EpochResult
from .fit import Fit as Fit, train as train
from .resources import (
    FLOP_PER_THREAD as FLOP_PER_THREAD,
    MemoryNeed as MemoryNeed,
    Sizes as Sizes,
    forget_peaks as forget_peaks,
    free_memory as free_memory,
    memory_need as memory_need,
    peak_resident_mb as peak_resident_mb,
    release_memory as release_memory,
    useful_threads as useful_threads,
)
from .snapshot import check_snapshot as check_snapshot

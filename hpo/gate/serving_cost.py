"""Cost of serving a model: megabytes of files, milliseconds per answer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from recsys.artifacts.checkpoint import stored_files
from recsys.retrieval.recommender import Recommender

ASKED, K = 100, 10


def stored_mb(folder: Path) -> float:
    """Return the size of a stored model's files, in millions of bytes."""
    return sum((folder / name).stat().st_size for name in stored_files(folder)) / 1e6


def latency_ms(recommender: Recommender, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the median time of one answer of 10 items for one known user, in milliseconds.

    A first round of answers is not counted.

    Args:
        recommender: knows at least one user.
        clock: returns the time in seconds.
    """
    users = [recommender.user_ids[i % len(recommender.user_ids)] for i in range(ASKED)]
    seconds = []
    for user in users * 2:
        start = clock()
        recommender.recommend([user], K)
        seconds.append(clock() - start)
    return statistics.median(seconds[ASKED:]) * 1000  # the first round fills caches

"""How many torch threads a training can use."""

from __future__ import annotations

from recsys.config import TrainConfig
from recsys.negatives import n_negatives

FLOP_PER_THREAD = 50e6  # below, threads wait for each other longer than they work


def useful_threads(n_items: int, config: TrainConfig, available: int) -> int:
    """1..available, by the size of a step's largest product: users x dim x candidates.

    On ml-100k at dim 128 (55 MFLOP) and a busy machine, two threads took five times the CPU time
    of one: they spin for each other.
    """
    # Targets of the batch come on top of the drawn items; about as many again.
    candidates = 2 * n_negatives(config, n_items) or n_items
    flop = 2 * config.batch_size * config.dim * candidates
    return max(1, min(available, int(flop / FLOP_PER_THREAD)))

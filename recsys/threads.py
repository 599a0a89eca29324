"""How many torch threads a training can use."""

from __future__ import annotations

from recsys.config import TrainConfig

FLOP_PER_THREAD = 50e6  # below, threads wait for each other longer than they work


def useful_threads(n_items: int, config: TrainConfig, available: int) -> int:
    """1..available, by the size of a step's largest product: users x dim x catalogue.

    On ml-100k at dim 128 (55 MFLOP) and a busy machine, two threads took five times the CPU time
    of one: they spin for each other.
    """
    flop = 2 * config.batch_size * config.dim * n_items
    return max(1, min(available, int(flop / FLOP_PER_THREAD)))

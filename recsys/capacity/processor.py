"""Speed of a processor: the times of six small kernels, one for each kind of work in a step."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple, Self

import numpy as np
import torch

from recsys.training import torch_threads

REPEATS = 5  # of a kernel; the fastest one counts, because other work can only slow it down
# A kernel takes 1 to 10 ms. The table is beyond the second cache, as those of a catalogue are.
USERS, DIM, CANDIDATES = 128, 64, 8192
TABLE, ROWS = 50_000, 5_000
NUMBERS = 50_000
STREAMED = 4_000_000
CALLS = 500


class Processor(NamedTuple):
    """The nanoseconds of one thread of a processor for a unit of each kind of work.

    Attributes:
        flop: a floating-point operation of a float32 product.
        logit: a number that runs through log-softmax.
        gathered: a byte of random rows that are copied and added back.
        number: a 64-bit integer that is sorted.
        streamed: a byte of an array that is updated in order.
        call: a call of torch on a few numbers.
    """

    flop: float
    logit: float
    gathered: float
    number: float
    streamed: float
    call: float

    @classmethod
    def here(cls) -> Self:
        """Return the speed of this machine, timed once a process in a quarter of a second."""
        return cls(*_timed())

    def slowness(self, other: Processor) -> Processor:
        """Return how many times the time of another processor this one takes, by kind of work.

        Args:
            other: the processor that counts as 1.
        """
        return Processor(*(mine / its for mine, its in zip(self, other, strict=True)))


@cache
def _timed() -> tuple[float, ...]:
    """Return the fields of `Processor`: the fewest nanoseconds of each kernel by its units."""
    with torch_threads(1), torch.no_grad():
        return tuple(_fewest(kernel) / units for kernel, units in _kernels())


def _kernels() -> list[tuple[Callable[[], object], float]]:
    """Return each kernel with the number of its units, in the order of `Processor`."""
    random = torch.Generator().manual_seed(0)
    users = torch.rand(USERS, DIM, generator=random)
    items = torch.rand(CANDIDATES, DIM, generator=random)
    logits, result = torch.zeros(2, USERS, CANDIDATES)  # a new result would cost page faults
    table = torch.rand(TABLE, DIM, generator=random)
    chosen = torch.randint(TABLE, (ROWS,), generator=random)
    rows = torch.zeros(ROWS, DIM)
    numbers = np.random.default_rng(0).integers(0, 2**40, NUMBERS)
    stream = torch.zeros(STREAMED)
    few = torch.zeros(8)

    def gather() -> None:
        torch.index_select(table, 0, chosen, out=rows)
        table.index_add_(0, chosen, rows, alpha=0.0)

    def calls() -> None:
        for _ in range(CALLS):
            few.add_(1.0)

    return [
        (lambda: torch.mm(users, items.T, out=logits), 2 * USERS * DIM * CANDIDATES),
        (lambda: torch.log_softmax(logits, 1, out=result), logits.numel()),
        (gather, 4 * ROWS * DIM),
        (lambda: np.argsort(numbers, kind="stable"), NUMBERS),
        (lambda: stream.add_(1.0), 4 * STREAMED),
        (calls, CALLS),
    ]


def _fewest(kernel: Callable[[], object]) -> float:
    """Return the nanoseconds of the fastest of some calls, after one that does not count."""
    kernel()
    found = []
    for _ in range(REPEATS):
        start = time.perf_counter_ns()
        kernel()
        found.append(time.perf_counter_ns() - start)
    return float(min(found))

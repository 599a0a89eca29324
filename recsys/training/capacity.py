"""Needs of a training before it starts: memory, seconds and the machine that has both.

Memory is reckoned from sizes. Seconds are the CPU seconds of `benchmarks.growth` and
`benchmarks.slopes` as slopes of what a step handles; another processor differs by its speed. A
card's seconds were never measured, so there are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from recsys.config import TrainConfig
from recsys.data import EVAL_USERS
from recsys.evaluation import CARD_BYTES
from recsys.messages import count
from recsys.models import MAX_EASE_ITEMS, MAX_PAIRS, REACH
from recsys.training.epoch import AVERAGES_PER_EPOCH
from recsys.training.resources import (
    FLOAT32,
    GB,
    MemoryNeed,
    Sizes,
    StepSizes,
    memory_need,
    useful_threads,
)

# Bytes, measured with benchmarks.growth.
PROCESS = 300_000_000  # an interpreter with torch
READ_ROW = 50  # a row while files are read and sorted
STORED_ROW, TIME = 8, 8  # a row of the prepared file, which workers map; with times
ID = 130  # a user or item: its id as text, and its place
PAIR = 40  # a pair of rows while neighbours are counted
EASE_CELL = 20  # a pair of items while EASE is solved
SERVED_ROW = 16  # a row of a history that a server holds, and what it asks of neighbours
SERVED_TABLES = 5  # tables of a model that answers: weights, vectors, and their copy

# CPU nanoseconds, measured with benchmarks.slopes.
PER_FLOP = 0.0125
PER_LOGIT = 7.2
PER_GATHERED = 1.4  # a byte of rows that are copied, updated and written back
PER_NUMBER = 110.0
PER_STREAMED = 0.12  # a byte of whole tables, read or written in order
PER_STEP = 2.2e6
PER_SCORE, PER_SCORE_FLOP, PER_ASKED = 4.6, 0.027, 14_000.0  # of an evaluation; 30 neighbours
READ_NS = 800.0  # a row: read, split, fingerprint, prepare
NS = 1e-9
ADAM_PASSES = 7  # of whole tables in a step: weights and both moments, read and written; gradients

# Bytes of machines and the share that a study may have; cards of 80 GB, eight in a machine.
LAPTOP, BIG, CARD, N_CARDS = 16 * GB, 512 * GB, 80 * GB, 8
SHARE = 0.75
QUICK, PATIENT = 600.0, 3600.0  # seconds an epoch may take on a laptop, on a big machine


class Verdict(NamedTuple):
    """The smallest machine for a training.

    Attributes:
        machine: the machine in words.
        because: the number that decides.
    """

    machine: str
    because: str


@dataclass(frozen=True)
class Capacity:
    """The needs of a study of a two-tower with one worker.

    Attributes:
        sizes: sizes of the training data.
        device: kind of the training's device.
        need: tensors of a training on its device.
        read_bytes: peak of the launcher, which reads and splits the data.
        worker_bytes: peak of a worker in the machine's memory.
        serve_bytes: a server with the model.
        threads: threads worth using.
        read_seconds: CPU seconds to read, split and prepare the data, once.
        epoch_seconds: CPU seconds of a training epoch; None on a card.
        evaluation_seconds: CPU seconds of its evaluation; None on a card.
    """

    sizes: Sizes
    device: str
    need: MemoryNeed
    read_bytes: int
    worker_bytes: int
    serve_bytes: int
    threads: int
    read_seconds: float
    epoch_seconds: float | None
    evaluation_seconds: float | None

    @classmethod
    def of(
        cls, sizes: Sizes, config: TrainConfig, device: torch.device, available: int = 2
    ) -> Capacity:
        """Reckon what a training takes.

        Args:
            sizes: sizes of the training data.
            config: hyperparameters of the training.
            device: device of the training, which need not be here.
            available: threads that a worker may use.
        """
        on_card = device.type != "cpu"
        need = memory_need(sizes, config, device, CARD_BYTES if on_card else None)
        mapped = sizes.n_rows * (STORED_ROW + TIME * sizes.ordered)
        tensors = 0 if on_card else need.total
        return cls(
            sizes,
            device.type,
            need,
            PROCESS + READ_ROW * sizes.n_rows + ID * (sizes.n_users + sizes.n_items),
            PROCESS + mapped + max(tensors, _counting(sizes, config)),
            _serving(sizes, config),
            useful_threads(sizes.n_items, config, available),
            READ_NS * NS * sizes.n_rows,
            None if on_card else epoch_seconds(sizes, config),
            None if on_card else _evaluation_seconds(sizes, config),
        )

    @property
    def host_bytes(self) -> int:
        """Return the memory of launcher and worker."""
        return self.read_bytes + self.worker_bytes

    @property
    def wall_seconds(self) -> float | None:
        """Return the seconds of an epoch and its evaluation on idle threads; None on a card."""
        if self.epoch_seconds is None or self.evaluation_seconds is None:
            return None
        return (self.epoch_seconds + self.evaluation_seconds) / self.threads

    @property
    def verdict(self) -> Verdict:
        """Return the smallest machine that has the memory, and an epoch in time."""
        host, wall = self.host_bytes, self.wall_seconds
        if host > SHARE * BIG:
            return Verdict("cluster", f"{host / GB:,.0f} GB of host memory")
        slow = wall is not None and wall > PATIENT
        if self.device == "cpu" and not slow:
            if host <= SHARE * LAPTOP and (wall is None or wall <= QUICK):
                return Verdict("laptop", f"{host / GB:.1f} GB of host memory")
            reason = f"{host / GB:.1f} GB of host memory, {wall:,.0f} s an epoch"
            return Verdict("big machine", reason)
        because = f"{self.need.total / GB:.1f} GB on the card"
        if slow:
            because = f"{wall:,.0f} s an epoch on a CPU; {because}"
        if self.need.total <= SHARE * CARD:
            return Verdict("one card", because)
        if self.need.total <= SHARE * CARD * N_CARDS:
            return Verdict("several cards", because)
        return Verdict("cluster", because)

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers by name: bytes and seconds."""
        verdict = self.verdict
        return {
            "users": self.sizes.n_users,
            "items": self.sizes.n_items,
            "interactions": self.sizes.n_rows,
            "device": self.device,
            "threads": self.threads,
            "bytes": {
                "data": self.read_bytes,
                "tables": self.need.tables,
                "optimizer": self.need.optimizer,
                "steps": self.need.steps,
                "evaluation": self.need.evaluation,
                "training": self.need.total,
                "worker": self.worker_bytes,
                "serving": self.serve_bytes,
            },
            "cpu_seconds": {
                "read": self.read_seconds,
                "epoch": self.epoch_seconds,
                "evaluation": self.evaluation_seconds,
            },
            "seconds_an_epoch": self.wall_seconds,
            "machine": verdict.machine,
            "because": verdict.because,
        }

    def __str__(self) -> str:
        """Return memory, seconds and machine in one line."""
        if self.wall_seconds is None:
            where, time = f"{self.need.total / GB:.2f} GB on a card", "seconds not known"
        else:
            where = f"{self.worker_bytes / GB:.2f} GB a worker"
            threads = count(self.threads, "idle thread")
            time = f"{shown_seconds(self.wall_seconds)} an epoch on {threads}"
        read = f"{self.read_bytes / GB:.2f} GB to read"
        return f"{read}, {where}, {time}: {self.verdict.machine}"


def epoch_seconds(sizes: Sizes, config: TrainConfig) -> float:
    """Return the CPU seconds of a training epoch on the machine of the slopes.

    Args:
        sizes: sizes of the training data.
        config: hyperparameters of the training.
    """
    return (
        sum(slope * amount for slope, amount in zip(SLOPES, amounts(sizes, config), strict=True))
        * NS
    )


SLOPES = (PER_FLOP, PER_LOGIT, PER_GATHERED, PER_NUMBER, PER_STREAMED, PER_STEP)


def amounts(sizes: Sizes, config: TrainConfig) -> tuple[float, ...]:
    """Return what an epoch handles, in the order of `SLOPES`.

    Args:
        sizes: sizes of the training data.
        config: hyperparameters of the training.

    Returns:
        Floating-point operations, logits, bytes gathered, numbers of plans, bytes streamed, steps.
    """
    step = StepSizes.of(sizes, config)
    logits = step.batch * step.columns
    averaged = 3 * AVERAGES_PER_EPOCH * step.weights
    adam = 0 if step.gathered else ADAM_PASSES * step.n_steps * step.weights
    return (
        step.n_steps * 6 * logits * config.dim,
        step.n_steps * logits,
        step.n_steps * FLOAT32 * config.dim * (step.gathered + step.history),
        step.n_steps * step.planned,
        FLOAT32 * (averaged + adam),
        float(step.n_steps),
    )


def shown_seconds(seconds: float) -> str:
    """Return seconds in the unit that suits them."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def _evaluation_seconds(sizes: Sizes, config: TrainConfig) -> float:
    asked = PER_ASKED * config.neighbours / 30
    each = sizes.n_items * (PER_SCORE + PER_SCORE_FLOP * 2 * config.dim) + asked
    return min(sizes.n_users, EVAL_USERS) * each * NS


def _counting(sizes: Sizes, config: TrainConfig) -> int:
    """Return the bytes that counting the neighbours takes, before a training begins."""
    if not config.neighbour_weight:
        return 0
    if sizes.ordered:
        ways = 2 if config.reverse_weight else 1
        return PAIR * ways * min(sizes.n_rows * REACH, MAX_PAIRS)
    if sizes.n_items <= MAX_EASE_ITEMS:
        return EASE_CELL * sizes.n_items * sizes.n_items
    return PAIR * (sizes.n_rows + sizes.n_items * config.neighbours)


def _serving(sizes: Sizes, config: TrainConfig) -> int:
    """Return the bytes of a server with the model and all histories."""
    row = FLOAT32 * config.dim
    lists = 8 * config.neighbours * sizes.n_items if config.neighbour_weight else 0
    people = sizes.n_users + sizes.n_items
    held = SERVED_TABLES * row * sizes.n_items + row * sizes.n_users + lists
    return PROCESS + held + SERVED_ROW * sizes.n_rows + ID * people

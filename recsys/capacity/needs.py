"""Needs of a study: memory from sizes, seconds of a processor, and the machine that has both.

A GPU's seconds were never measured, so there are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from recsys.capacity.machine_advice import MachineAdvice, advice_for
from recsys.capacity.processor import Processor
from recsys.capacity.seconds import MEASURED_ON, Seconds, shown_seconds
from recsys.config import TrainConfig
from recsys.evaluation import GPU_BYTES
from recsys.messages import count
from recsys.models import MAX_EASE_ITEMS, MAX_PAIRS, REACH
from recsys.training import FLOAT32, GB, MemoryNeed, Sizes, memory_need, useful_threads

# Bytes, measured with benchmarks.growth.
PROCESS = 300_000_000  # an interpreter with torch
READ_ROW = 50  # a row while files are read and sorted
STORED_ROW, TIME = 8, 8  # a row of the prepared file, which workers map; with times
ID = 130  # a user or item: its id as text, and its place
PAIR = 40  # a pair of rows while neighbours are counted
EASE_CELL = 20  # a pair of items while EASE is solved
SERVED_ROW = 16  # a row of a history that a server holds, and what it asks of neighbours
SERVED_TABLES = 5  # tables of a model that answers: weights, vectors, and their copy


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
        epoch_seconds: CPU seconds of a training epoch; None on a GPU.
        evaluation_seconds: CPU seconds of its evaluation; None on a GPU.
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
        cls,
        sizes: Sizes,
        config: TrainConfig,
        device: torch.device,
        available: int = 2,
        processor: Processor = MEASURED_ON,
    ) -> Capacity:
        """Estimate the memory and the seconds of a training.

        Args:
            sizes: sizes of the training data.
            config: hyperparameters of the training.
            device: device of the training, which need not be here.
            available: threads that a worker may use.
            processor: speed of the processor that reads and trains.
        """
        on_gpu = device.type != "cpu"
        need = memory_need(sizes, config, device, GPU_BYTES if on_gpu else None)
        mapped = sizes.n_rows * (STORED_ROW + TIME * sizes.ordered)
        tensors = 0 if on_gpu else need.total
        seconds = Seconds.of(sizes, config, processor)
        return cls(
            sizes,
            device.type,
            need,
            PROCESS + READ_ROW * sizes.n_rows + ID * (sizes.n_users + sizes.n_items),
            PROCESS + mapped + max(tensors, _counting(sizes, config)),
            _serving(sizes, config),
            useful_threads(sizes.n_items, config, available),
            seconds.read,
            None if on_gpu else seconds.epoch,
            None if on_gpu else seconds.evaluation,
        )

    @property
    def host_bytes(self) -> int:
        """Return the memory of launcher and worker."""
        return self.read_bytes + self.worker_bytes

    @property
    def wall_seconds(self) -> float | None:
        """Return the seconds of an epoch and its evaluation on idle threads; None on a GPU."""
        if self.epoch_seconds is None or self.evaluation_seconds is None:
            return None
        return (self.epoch_seconds + self.evaluation_seconds) / self.threads

    @property
    def advice(self) -> MachineAdvice:
        """Return the smallest machine that has the memory, and an epoch in time."""
        on_gpu = self.device != "cpu"
        return advice_for(self.host_bytes, self.need, self.wall_seconds, on_gpu=on_gpu)

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers by name: bytes and seconds."""
        advice = self.advice
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
            "machine": advice.machine,
            "because": advice.because,
        }

    def __str__(self) -> str:
        """Return memory, seconds and machine in one line."""
        if self.wall_seconds is None:
            where, time = f"{self.need.total / GB:.2f} GB on a GPU", "seconds not known"
        else:
            where = f"{self.worker_bytes / GB:.2f} GB a worker"
            threads = count(self.threads, "idle thread")
            time = f"{shown_seconds(self.wall_seconds)} an epoch on {threads}"
        read = f"{self.read_bytes / GB:.2f} GB to read"
        return f"{read}, {where}, {time}: {self.advice.machine}"


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

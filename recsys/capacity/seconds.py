"""CPU seconds of a study's parts: slopes of what they handle, times the slowness of a processor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from recsys.capacity.processor import Processor
from recsys.config import TrainConfig
from recsys.data import EVAL_USERS
from recsys.training import AVERAGES_PER_EPOCH, FLOAT32, Sizes, StepSizes

NS = 1e-9
ADAM_PASSES = 7  # of whole tables in a step: weights and both moments, read and written; gradients

# The processor of the slopes, and the nanoseconds of a unit of work there: benchmarks.slopes.
MEASURED_ON = Processor(
    flop=0.01015, logit=1.014, gathered=0.815, number=111.7, streamed=0.0592, call=5359.0
)
EPOCH = Processor(
    flop=0.01015, logit=3.73, gathered=1.51, number=315.0, streamed=0.0479, call=1.09e6
)
PER_SCORE_FLOP, PER_SCORE, PER_QUERY = 0.01015, 2.94, 15_700.0
ASKED_NEIGHBOURS = 30  # of an item, in the cases that PER_ASKED is of
READ = 550.0  # a row: read, split, fingerprint, prepare; benchmarks.growth


@dataclass(frozen=True)
class Seconds:
    """The CPU seconds of a study's parts on some processor.

    Attributes:
        read: to read, split and prepare the data, once.
        epoch: of a training epoch.
        evaluation: of its evaluation.
    """

    read: float
    epoch: float
    evaluation: float

    @classmethod
    def of(cls, sizes: Sizes, config: TrainConfig, processor: Processor = MEASURED_ON) -> Self:
        """Reckon the CPU seconds of reading, an epoch and its evaluation.

        Args:
            sizes: sizes of the training data.
            config: hyperparameters of the training.
            processor: the speed of the processor.
        """
        slow = processor.slowness(MEASURED_ON)
        epoch = zip(EPOCH, slow, epoch_work(sizes, config), strict=True)
        users = min(sizes.n_users, EVAL_USERS)
        asked = PER_QUERY * slow.number * config.neighbours / ASKED_NEIGHBOURS
        score = PER_SCORE * slow.logit + PER_SCORE_FLOP * slow.flop * 2 * config.dim
        return cls(
            read=NS * READ * slow.number * sizes.n_rows,
            epoch=NS * sum(slope * factor * amount for slope, factor, amount in epoch),
            evaluation=NS * users * (sizes.n_items * score + asked),
        )


def epoch_work(sizes: Sizes, config: TrainConfig) -> Processor:
    """Return the amounts of work in a training epoch: operations, logits, bytes, ..., steps.

    Args:
        sizes: sizes of the training data.
        config: hyperparameters of the training.
    """
    step = StepSizes.of(sizes, config)
    logits = step.batch * step.columns
    averaged = 3 * AVERAGES_PER_EPOCH * step.weights
    adam = 0 if step.gathered else ADAM_PASSES * step.n_steps * step.weights
    return Processor(
        flop=step.n_steps * 6 * logits * config.dim,
        logit=step.n_steps * logits,
        gathered=step.n_steps * FLOAT32 * config.dim * (step.gathered + step.history),
        number=step.n_steps * step.planned,
        streamed=FLOAT32 * (averaged + adam),
        call=float(step.n_steps),
    )


def shown_seconds(seconds: float) -> str:
    """Return seconds in the unit that suits them."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"

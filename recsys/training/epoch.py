"""The result of one training epoch."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.evaluation import Metrics

AVERAGES_PER_EPOCH = 8  # of the weights: few, since averaging reads all tables


@dataclass(frozen=True)
class EpochResult:
    """One epoch of training and its scores on the relevant part of the holdout.

    Attributes:
        epoch: from 1; the step in Optuna and in MLflow.
        train_loss: mean over the epoch's steps; 0 for a model without a loss.
        metrics: means over users, computed with the averaged weights.
        seconds: wall time of training and evaluation; 0 in a model of the user's own: measured
            from outside.
        evaluation_seconds: wall time of the evaluation alone.
        cpu_seconds: CPU time of all threads of the process during `seconds`.
        memory_mb: peak resident memory at the end of the epoch, see `recsys.training.resources`.
        gpu_memory_mb: peak GPU memory at the end of the epoch; 0 without a GPU.
    """

    epoch: int
    train_loss: float
    metrics: Metrics
    seconds: float = 0.0
    evaluation_seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_mb: float = 0.0
    gpu_memory_mb: float = 0.0

"""What one epoch of a training showed."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.evaluation.metrics import Metrics


@dataclass(frozen=True)
class EpochResult:
    """One epoch: trained, then scored on the relevant part of the holdout.

    Attributes:
        epoch: from 1; the step in Optuna and in MLflow.
        train_loss: mean over the epoch's steps.
        metrics: of the averaged weights.
        seconds: wall time of training and evaluation.
        evaluation_seconds: the evaluation's part of it.
        cpu_seconds: of all threads of the process, in that time.
        memory_mb, gpu_memory_mb: peaks at its end, see `recsys.training.resources`; no GPU: 0.
    """

    epoch: int
    train_loss: float
    metrics: Metrics
    seconds: float
    evaluation_seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_mb: float = 0.0
    gpu_memory_mb: float = 0.0

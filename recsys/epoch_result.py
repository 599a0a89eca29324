"""What one epoch of a training showed."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.metrics import Metrics


@dataclass(frozen=True)
class EpochResult:
    """One epoch: trained, then scored on the relevant part of the holdout.

    Attributes:
        epoch: from 1; the step in Optuna and in MLflow.
        train_loss: mean over the epoch's steps.
        metrics: of the averaged weights.
        seconds: wall time of training and evaluation.
    """

    epoch: int
    train_loss: float
    metrics: Metrics
    seconds: float

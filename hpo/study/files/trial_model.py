"""The model of a trial's best epoch, stored as `recsys.train` stores one."""

from __future__ import annotations

from pathlib import Path

from hpo.study.records import StudyRecord
from recsys.artifacts import origin, save
from recsys.data import Split
from recsys.evaluation import Metrics
from recsys.models import TwoTower


def save_model(
    folder: Path,
    model: TwoTower,
    record: StudyRecord,
    split: Split,
    *,
    trial: int,
    best_epoch: int,
    validation: Metrics,
) -> None:
    """Store the model of a trial's best epoch in the format of `recsys.train`.

    Args:
        folder: folder of the model.
        model: the model after the best epoch.
        record: the study's record.
        split: the study's data.
        trial: number of the trial.
        best_epoch: number of the best epoch.
        validation: metrics on validation at that epoch.

    Raises:
        CheckpointError: the folder cannot be written, or the disk is full.
    """
    about = {
        **origin(record.data_name, split),
        "study": {"name": record.config.name, "uid": record.uid},
        "trial": trial,
        "trained_on": "train",
        "objective": record.config.objective,
        "best_epoch": best_epoch,
        "validation": validation.as_dict(),
    }
    save(folder, model, split.tuning.seen, about)

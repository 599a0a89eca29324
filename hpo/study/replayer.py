"""Replay of a stored trial; same config, seed, data, device and threads give the same numbers.

On a CPU to the last bit. A GPU adds up in no fixed order, so its numbers agree within a tolerance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from optuna import Study
from optuna.trial import FrozenTrial

from hpo.config import SearchSpace
from hpo.errors import StudyError
from hpo.runners import processor_of
from hpo.study.data import load_split
from hpo.study.machine import environment_facts
from hpo.study.records import Attempt, StudyRecord, epochs_of
from hpo.trainables import new_training
from recsys.cli import usable_device
from recsys.data import Split
from recsys.errors import ConfigError
from recsys.messages import count
from recsys.training import torch_threads

if TYPE_CHECKING:
    from hpo.trainables import ModelTraining

SAID = 10  # number of epochs reported while all numbers agree
# Largest difference of two trainings with one seed on a GPU: of a metric, absolute, and of the loss
# as a share. Sums in random order moved them by less than a twentieth of this (studies/LOG.md,
# 2026-11-28, on a CPU; not yet measured on a GPU).
METRIC_TOLERANCE, LOSS_TOLERANCE = 0.002, 0.0002
DECISIVE = ("torch", "numpy", "platform", "git_commit")  # parts that may change a number


@dataclass(frozen=True, eq=False)
class Replay:
    """The result of a replay.

    Attributes:
        record: the study's record.
        split: the study's data.
        fit: the repeated training.
        n_epochs: number of repeated epochs.
        tolerance: difference up to which a metric counts as the same, see `metric_tolerance`.
        largest: largest difference of the objective in an epoch.
        differences: lines for people on differences and their likely reasons; empty if none.
    """

    record: StudyRecord
    split: Split
    fit: ModelTraining
    n_epochs: int
    tolerance: float
    largest: float
    differences: list[str]


def metric_tolerance(device: torch.device) -> float:
    """Return the difference up to which metrics of two trainings with one seed are the same."""
    return 0.0 if device.type == "cpu" else METRIC_TOLERANCE


def trial_to_replay(study: Study, number: int) -> FrozenTrial:
    """Return the trial of that number.

    Args:
        study: the study.
        number: number of the trial.

    Raises:
        StudyError: there is no such trial, it has not ended, it was stopped before its first epoch,
            the study has other data since, or this machine lacks the trial's device.
    """
    trials = study.get_trials(deepcopy=False)
    if not 0 <= number < len(trials):
        raise StudyError(f"no trial {number} in {study.study_name!r}; it has 0..{len(trials) - 1}")
    trial = trials[number]
    attempt = Attempt.of(trial)
    if not trial.state.is_finished() or attempt is None or not epochs_of(trial):
        raise StudyError(
            f"trial {number} is {trial.state.name} and has no epochs to compare with; "
            "choose one that is COMPLETE or PRUNED"
        )
    since = StudyRecord.of(study).comparable_from
    if number < since:
        raise StudyError(
            f"trial {number} was trained on data that the study no longer has: from trial {since} "
            "on it has other data (--accept-changes); choose one of those"
        )
    try:
        usable_device(attempt.device)
    except ConfigError as error:
        raise StudyError(
            f"trial {number} was trained on the device {error}; replay it on a machine that has "
            "it, since another device gives other numbers"
        ) from None
    return trial


def replay(
    study: Study, trial: FrozenTrial, data: str | None, say: Callable[[str], None]
) -> Replay:
    """Train as many epochs as the trial had, on its device and with its threads, and compare.

    The training ends early at the first epoch that differs: on a CPU by any bit, on a GPU by more
    than the tolerance.

    Args:
        study: the study.
        trial: the trial, see `trial_to_replay`.
        data: present name or path of the study's data; None: as in the record.
        say: called with a line on some epochs, and on one that differs.

    Raises:
        PromotionError: data or split differ from the study's.
    """
    record, attempt = StudyRecord.of(study), Attempt.of(trial)
    assert attempt is not None
    split = load_split(record, data)
    columns, objective = epochs_of(trial), record.config.objective
    config = SearchSpace(record.config).config(trial.params, attempt.seed)
    device = torch.device(attempt.device)
    tolerance = metric_tolerance(device)
    if tolerance and record.config.trainable is None:  # patience may end at another epoch
        config = config.replace(patience=config.epochs)
    differences: list[str] = []
    n_epochs, largest, step = 0, 0.0, -(-len(columns["epoch"]) // SAID)
    with torch_threads(attempt.threads):
        cutoffs = record.config.cutoffs
        fit = new_training(
            record.config.trainable, split.tuning, config.as_dict(), device, (objective, cutoffs)
        )
        pairs = zip(columns[objective], columns["train_loss"], strict=True)
        for (value, loss), result in zip(pairs, fit, strict=False):  # the stored epochs only
            n_epochs = result.epoch
            now = result.metrics.value(objective)
            largest = max(largest, abs(now - value))
            apart = abs(result.train_loss - loss)
            same = (now, result.train_loss) == (value, loss) or bool(
                tolerance and abs(now - value) <= tolerance and apart <= LOSS_TOLERANCE * abs(loss)
            )
            if not same or result.epoch % step == 0:
                say(f"epoch {result.epoch}: {objective} {now:.6f}, stored {value:.6f}")
            if not same:
                differences.append(
                    f"epoch {result.epoch} differs: {objective} {now!r}, stored {value!r}; "
                    f"train_loss {result.train_loss!r}, stored {loss!r}"
                )
                break
    n_stored = len(columns["epoch"])
    if not differences and n_epochs != n_stored:
        differences.append(f"it ended after {count(n_epochs, 'epoch')}, stored are {n_stored}")
    if differences:
        differences += [*_environment_changes(record), *_other_processor(attempt)]
    return Replay(record, split, fit, n_epochs, tolerance, largest, differences)


def _environment_changes(record: StudyRecord) -> list[str]:
    """Return the changes of the environment since the study was made that may change numbers."""
    now = environment_facts()
    return [
        f"  {name}: was {record.environment.get(name)}, is {now.get(name)}"
        for name in DECISIVE
        if record.environment.get(name) != now.get(name)
    ]


def _other_processor(attempt: Attempt) -> list[str]:
    """Return a line if the trial was trained on another processor."""
    now = processor_of(attempt.device)
    if attempt.processor in ("", now):  # old records have ""
        return []
    return [f"  processor: was {attempt.processor}, is {now}"]

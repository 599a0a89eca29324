"""What a launcher does about the trials that an earlier one left behind."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from hpo.records import OUTCOME, Outcome, StudyRecord
from hpo.space import SearchSpace

DEAD = Outcome(0, 0.0, "launcher-died", "the launcher died while this trial ran")
CUT_OFF = Outcome(0, 0.0, "interrupted", "the study's storage failed while this trial ran")


def recover(study: Study, space: SearchSpace, record: StudyRecord) -> int:
    """FAIL what an earlier launcher left RUNNING, and what it parked and cannot go on.

    The caller holds the study's lock, so whatever is RUNNING is dead.

    Returns:
        How many trials were RUNNING.
    """
    dead = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in dead:
        _give_up(study, trial, DEAD)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        if trial.intermediate_values and (reason := _outdated(trial, space, record)):
            _give_up(study, trial, Outcome(0, 0.0, "interrupted", reason))
    return len(dead)


def settle(study: Study, numbers: Container[int] | None) -> None:
    """Mark as FAIL the trials that are RUNNING though nobody trains them.

    Args:
        study: whose trials.
        numbers: of the trials that this launcher started; None: all are its own.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if numbers is None or trial.number in numbers:
            _give_up(study, trial, CUT_OFF)


def n_ended(study: Study) -> int:
    """Trials that have ended, in whatever way: the place of the next in the recorded order."""
    return sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))


def _outdated(parked: FrozenTrial, space: SearchSpace, record: StudyRecord) -> str | None:
    """Why a parked trial cannot go on after changes that were accepted; None: it can.

    The base never changes and drawn values stay, so its config is another one exactly if
    other parameters are drawn.
    """
    if parked.number < record.comparable_from:
        return "parked on data that the study no longer has"
    if not space.is_complete(parked.params):
        return "parked with a configuration that the study's space no longer has"
    return None


def _give_up(study: Study, trial: FrozenTrial, outcome: Outcome) -> None:
    outcome = replace(outcome, order=n_ended(study))
    study._storage.set_trial_user_attr(trial._trial_id, OUTCOME, outcome.as_dict())
    study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

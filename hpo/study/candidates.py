"""Candidates for promotion: the best trials of a study with their config and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from optuna import Study
from optuna.trial import FrozenTrial

from hpo.config import SearchSpace
from hpo.errors import PromotionError
from hpo.study.records import Attempt, Outcome, StudyRecord, best_metrics, comparable
from recsys.config import Hyperparameters

# The best epoch of a noisy curve comes early, and more rows bear longer training. In experiments
# with a further part of train held out, twice the best epoch was as good or better on every data
# set (studies/LOG.md).
REFIT = 2


@dataclass(frozen=True, eq=False)
class Candidate:
    """A COMPLETE trial that may be promoted.

    Attributes:
        record: record of the study.
        study: name of the study.
        trial: number of the trial.
        config: configuration of the trial.
        epochs: best epoch of the trial.
        value: the objective at the best epoch, which is also the trial's value in the study.
        validation: all metrics on validation at the best epoch.
    """

    record: StudyRecord
    study: str
    trial: int
    config: Hyperparameters
    epochs: int
    value: float
    validation: Mapping[str, float]

    @property
    def refit_epochs(self) -> int:
        """Return the number of epochs for the refit on train + validation."""
        return REFIT * self.epochs


def top_candidates(study: Study, n: int) -> list[Candidate]:
    """Return up to n COMPLETE trials with different configs, best first; of equals the earliest.

    Trials that break the study's constraints are left out.

    Args:
        study: a study made by hpo.
        n: highest number of candidates, >= 1.

    Raises:
        PromotionError: there is no COMPLETE trial within the constraints, or a trial was not run by
            hpo.
    """
    record, name = StudyRecord.of(study), study.study_name
    trials = comparable(record, study.get_trials(deepcopy=False))
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    if record.infeasible and not complete:
        raise PromotionError(
            f"study {name!r} has no complete trial within its [constraints]; run more trials, or "
            "loosen them with --accept-changes"
        )
    if not complete:
        since = record.comparable_from
        later = f" on its data of today (from trial {since} on)" if since else ""
        raise PromotionError(
            f"study {name!r} has no complete trial yet{later}; run the same hpo.run again to go on "
            "with it"
        )
    found: dict[Hyperparameters, Candidate] = {}
    for trial in sorted(complete, key=lambda trial: (-(trial.value or 0.0), trial.number)):
        candidate = _candidate(record, name, trial)
        found.setdefault(candidate.config.replace(seed=0), candidate)  # seeds do not count
        if len(found) == n:
            break
    return list(found.values())


def default_candidate(study: Study) -> Candidate | None:
    """Return the first COMPLETE trial of the default configuration; None if hpo ran none.

    Raises:
        PromotionError: the trial was ended by another program.
    """
    record, name = StudyRecord.of(study), study.study_name
    space = SearchSpace(record.config)
    for trial in comparable(record, study.get_trials(deepcopy=False)):
        ours = trial.state.name == "COMPLETE" and Attempt.of(trial) is not None
        if ours and space.is_default(trial.params):
            return _candidate(record, name, trial)
    return None


def _candidate(record: StudyRecord, name: str, trial: FrozenTrial) -> Candidate:
    """Return a COMPLETE trial as a candidate.

    Raises:
        PromotionError: the trial was not run by hpo.
    """
    attempt, outcome = Attempt.of(trial), Outcome.of(trial)
    if attempt is None or outcome is None:
        raise PromotionError(
            f"trial {trial.number} of study {name!r} was not run by hpo.run, so its seed and best "
            "epoch are unknown; run the study with hpo.run"
        )
    config = SearchSpace(record.config).config(trial.params, attempt.seed)
    epochs, value = outcome.best_epoch, float(trial.value or 0.0)
    return Candidate(record, name, trial.number, config, epochs, value, _metrics(record, trial))


def _metrics(record: StudyRecord, trial: FrozenTrial) -> dict[str, float]:
    """Return the trial's metrics at its best epoch; only the objective if it is not stored."""
    return best_metrics(trial) or {record.config.objective: float(trial.value or 0)}

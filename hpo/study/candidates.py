"""Which trials of a study may be promoted, and all that is known about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from optuna import Study
from optuna.trial import FrozenTrial

from hpo.config.search_space import SearchSpace
from hpo.errors import PromotionError
from hpo.study.records import Attempt, Outcome, StudyRecord, comparable, epochs_of
from recsys.config import TrainConfig

# The best epoch of a noisy curve comes early, and more rows bear longer training: holding out once
# more from train, twice the best epoch was as good or better everywhere (studies/LOG.md).
REFIT = 2


@dataclass(frozen=True, eq=False)
class Candidate:
    """A COMPLETE trial.

    Attributes:
        record: of its study.
        study: name of the study.
        trial: its number.
        config: what it trained.
        epochs: its best epoch.
        value: the objective at that epoch, which is what the study says.
        validation: its metrics at that epoch.
    """

    record: StudyRecord
    study: str
    trial: int
    config: TrainConfig
    epochs: int
    value: float
    validation: Mapping[str, float]

    @property
    def refit_epochs(self) -> int:
        """How many the refit on train + validation takes."""
        return REFIT * self.epochs


def top_candidates(study: Study, n: int) -> list[Candidate]:
    """The n best COMPLETE trials with different configs, best first, the earliest of equals.

    Fewer if the study has fewer that keep its constraints.

    Args:
        study: made by hpo.
        n: >= 1.

    Raises:
        PromotionError: there is none, or one was not run by hpo.
    """
    record, name = StudyRecord.of(study), study.study_name
    trials = comparable(record, study.get_trials(deepcopy=False))
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    if not complete:
        since = record.comparable_from
        later = f" on its data of today (from trial {since} on)" if since else ""
        raise PromotionError(
            f"study {name!r} has no complete trial yet{later}; run the same hpo.run again to go on "
            "with it"
        )
    found: dict[TrainConfig, Candidate] = {}
    for trial in sorted(complete, key=lambda trial: (-(trial.value or 0.0), trial.number)):
        candidate = _candidate(record, name, trial)
        found.setdefault(candidate.config.replace(seed=0), candidate)  # a seed is no config
        if len(found) == n:
            break
    return list(found.values())


def default_candidate(study: Study) -> Candidate | None:
    """The default configuration: its first COMPLETE trial, None if there is none.

    Raises:
        PromotionError: it was not run by hpo.
    """
    record, name = StudyRecord.of(study), study.study_name
    space = SearchSpace(record.config)
    for trial in comparable(record, study.get_trials(deepcopy=False)):
        if trial.state.name == "COMPLETE" and space.is_default(trial.params):
            return _candidate(record, name, trial)
    return None


def _candidate(record: StudyRecord, name: str, trial: FrozenTrial) -> Candidate:
    attempt, outcome = Attempt.of(trial), Outcome.of(trial)
    if attempt is None or outcome is None:
        raise PromotionError(
            f"trial {trial.number} of study {name!r} was not run by hpo.run, so its seed and best "
            "epoch are unknown; run the study with hpo.run"
        )
    config = SearchSpace(record.config).config(trial.params, attempt.seed)
    epochs, value = outcome.best_epoch, float(trial.value or 0.0)
    return Candidate(
        record, name, trial.number, config, epochs, value, _metrics(record, trial, epochs)
    )


def _metrics(record: StudyRecord, trial: FrozenTrial, epoch: int) -> dict[str, float]:
    columns = epochs_of(trial)
    if epoch not in columns.get("epoch", []):
        return {record.config.objective: float(trial.value or 0)}
    row = columns["epoch"].index(epoch)
    others = {"epoch", "time_ms", "train_loss"}
    return {name: column[row] for name, column in columns.items() if name not in others}

"""Which trial of a study is to be promoted, and all that is known about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from optuna import Study
from optuna.trial import FrozenTrial

from hpo.errors import PromotionError
from hpo.records import Attempt, Outcome, StudyRecord, best_complete, epochs_of
from hpo.settings import OBJECTIVE
from hpo.space import SearchSpace
from recsys.config import TrainConfig


@dataclass(frozen=True, eq=False)
class Candidate:
    """A COMPLETE trial.

    Attributes:
        record: of its study.
        study: name of the study.
        trial: its number.
        config: what it trained.
        epochs: its best epoch, so many the refit takes.
        validation: its metrics at that epoch.
    """

    record: StudyRecord
    study: str
    trial: int
    config: TrainConfig
    epochs: int
    validation: Mapping[str, float]

    @property
    def version_tags(self) -> dict[str, str]:
        """What the registered version is found by."""
        return {"hpo.study_uid": self.record.uid, "optuna.trial": str(self.trial)}

    @property
    def run_tags(self) -> dict[str, str]:
        """What the promotion's run is found by. The mirror owns every run with hpo.study_uid."""
        return {"hpo.promotion_of": f"{self.record.uid}/{self.trial}"}


def best_candidate(study: Study) -> Candidate:
    """The study's winner, see `hpo.records.best_complete`.

    Raises:
        PromotionError: there is none, or it was not run by hpo.
    """
    record, name = StudyRecord.of(study), study.study_name
    best = best_complete(study.get_trials(deepcopy=False))
    if best is None:
        raise PromotionError(f"study {name!r} has no complete trial yet; let it run: hpo.run")
    attempt, outcome = Attempt.of(best), Outcome.of(best)
    if attempt is None or outcome is None:
        raise PromotionError(
            f"trial {best.number} of study {name!r} was not run by hpo.run, so its seed and best "
            "epoch are unknown; run the study with hpo.run"
        )
    config = SearchSpace(record.config).config(best.params, attempt.seed)
    epochs = outcome.best_epoch
    return Candidate(record, name, best.number, config, epochs, _metrics(best, epochs))


def _metrics(trial: FrozenTrial, epoch: int) -> dict[str, float]:
    columns = epochs_of(trial)
    if epoch not in columns.get("epoch", []):
        return {OBJECTIVE: float(trial.value or 0)}
    row = columns["epoch"].index(epoch)
    others = {"epoch", "time_ms", "train_loss"}
    return {name: column[row] for name, column in columns.items() if name not in others}

"""A real study in a real SQLite storage, with trials in any state, and no training."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import optuna
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from hpo.config.locations import Locations
from hpo.config.study_config import StudyConfig
from hpo.study.files.artifacts import replace_artifacts
from hpo.study.lifecycle import open_study
from hpo.study.records import (
    ATTEMPT,
    EPOCHS,
    OUTCOME,
    Attempt,
    Cause,
    Outcome,
    StudyRecord,
    epochs_to_columns,
    new_uid,
)
from hpo.study.storage import open_storage
from recsys.evaluation.metrics import Metrics
from recsys.training.epoch import EpochResult

CONFIG = {
    "base": {"epochs": 40},
    "space": {"dim": {"low": 16, "high": 128}, "lr": {"low": 1e-3, "high": 1e-2, "log": True}},
}
DISTRIBUTIONS = {"dim": IntDistribution(16, 128), "lr": FloatDistribution(1e-3, 1e-2, log=True)}
START = datetime(2026, 3, 1, 12)  # noqa: DTZ001  (Optuna keeps local time)


def locations(folder: Path, tracking_uri: str | None = None) -> Locations:
    """Both stores in one folder, unless MLflow is elsewhere."""
    root = folder.as_posix()
    return Locations(f"sqlite:///{root}/optuna.db", tracking_uri or f"sqlite:///{root}/mlflow.db")


def result(trial: int, epoch: int) -> EpochResult:
    """Epoch `epoch` of trial `trial`: numbers that tell both."""
    value = trial / 1000 + epoch / 100_000
    metrics = Metrics(value / 2, value, value * 2, value, value, value, value, n_users=10)
    return EpochResult(epoch, 5.0 - epoch / 100, metrics, 0.1)


def fake_record(name: str, n_trials: int) -> StudyRecord:
    return StudyRecord(
        uid=new_uid(),
        config=StudyConfig.model_validate(
            {**CONFIG, "name": name, "n_trials": n_trials}
        ).with_whole_base(),
        data_name="demo",
        split_fingerprint="0123abcd",
        counts={"n_users": 10, "n_items": 20},
        baselines={"popularity": result(100, 0).metrics.as_dict()},
        environment={"python": "3.11.0", "torch": "2.13.0"},
    )


class FakeStudy:
    """Plays the launcher: starts trials, reports epochs, ends trials."""

    def __init__(self, locations: Locations, n_trials: int = 50, name: str = "fake-demo") -> None:
        record = fake_record(name, n_trials)
        self.locations = locations
        self.storage = open_storage(locations.storage)
        self.study, self.record = open_study(self.storage, name, record)
        self.study.sampler = optuna.samplers.RandomSampler(seed=0)
        self._results: dict[int, list[EpochResult]] = {}
        self._times: dict[int, list[int]] = {}

    def start(self) -> Trial:
        """Ask for a trial and draw its params."""
        trial = self.study.ask()
        attempt = Attempt(1, trial.number, seed=1000 + trial.number, threads=1, runner="process")
        trial.set_user_attr(ATTEMPT, attempt.as_dict())
        trial.suggest_int("dim", 16, 128)
        trial.suggest_float("lr", 1e-3, 1e-2, log=True)
        self._results[trial.number], self._times[trial.number] = [], []
        return trial

    def train(self, trial: Trial, n_epochs: int, *, flush: bool = True) -> None:
        """Report further epochs, a tenth of a second apart; without flush, values only."""
        results, times = self._results[trial.number], self._times[trial.number]
        assert trial.datetime_start is not None
        start = round(trial.datetime_start.timestamp() * 1000)
        for epoch in range(len(results) + 1, len(results) + n_epochs + 1):
            results.append(result(trial.number, epoch))
            times.append(start + 100 * epoch)
            trial.report(results[-1].metrics.recall_at_10, epoch)
        if flush:
            trial.set_user_attr(EPOCHS, epochs_to_columns(results, times))

    def end(self, trial: Trial, state: TrialState, cause: Cause | None = None) -> None:
        """Give a trial its outcome and its last state."""
        n = len(self._results[trial.number])
        text = "Traceback: boom\n" * 1000 if cause == "error" else ""
        outcome = Outcome(n, n * 0.1, cause, f"why: {cause}" if cause else "", text)
        trial.set_user_attr(OUTCOME, outcome.as_dict())
        value = result(trial.number, n).metrics.recall_at_10 if state.name == "COMPLETE" else None
        self.study.tell(trial, value, state=state)

    def run(self, state: TrialState, n_epochs: int = 3, cause: Cause | None = None) -> Trial:
        """A whole trial."""
        trial = self.start()
        self.train(trial, n_epochs)
        self.end(trial, state, cause)
        return trial

    def keep(self, trial: int, text: str = "first", *, model: bool = True) -> None:
        """Keep a report, and a model of that trial; `text` is in every file."""

        def save(folder: Path) -> None:
            for name in ("model_meta.json", "item_vecs.npy"):
                (folder / name).write_text(f"{name} of trial {trial}, {text}")

        report = {name: f"{name}, {text}".encode() for name in ("report.html", "history.png")}
        replace_artifacts(
            self.locations.storage, self.study.study_name, report, trial, save if model else None
        )

    def park(self, trial: Trial) -> None:
        self.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)

    def add_finished(self, n: int, n_epochs: int) -> None:
        """Many finished trials at once; every third is PRUNED."""
        first = len(self.study.get_trials(deepcopy=False))
        self.study.add_trials([_finished(number, n_epochs) for number in range(first, first + n)])


def _finished(number: int, n_epochs: int) -> FrozenTrial:
    results = [result(number, epoch) for epoch in range(1, n_epochs + 1)]
    start = START + timedelta(seconds=10 * number)
    times = [round(start.timestamp() * 1000) + 100 * epoch for epoch in range(1, n_epochs + 1)]
    attempt = Attempt(1, number, 1000 + number, 1, "process")
    value = results[-1].metrics.recall_at_10
    trial = create_trial(
        state=TrialState.PRUNED if number % 3 == 2 else TrialState.COMPLETE,
        value=value,
        params={"dim": 16 + number % 100, "lr": 0.001 + number * 1e-6},
        distributions=DISTRIBUTIONS,
        user_attrs={
            ATTEMPT: attempt.as_dict(),
            EPOCHS: epochs_to_columns(results, times),
            OUTCOME: Outcome(n_epochs, 0.1 * n_epochs).as_dict(),
        },
        intermediate_values={r.epoch: r.metrics.recall_at_10 for r in results},
    )
    trial.datetime_start, trial.datetime_complete = start, start + timedelta(seconds=9)
    return trial

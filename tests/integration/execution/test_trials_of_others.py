"""Trials that a script or a dashboard asks for beside the launcher, and outages of the storage."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna import Trial
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from hpo.config.search_space import SearchSpace
from hpo.errors import StorageUnreachable
from hpo.execution.ledger import Ledger
from hpo.execution.store import storage_retries
from hpo.execution.store.storage_retries import StorageRetries
from hpo.study.server_lock import StudyLock
from recsys.config import TrainConfig
from tests.support.scripted import make_ledger, make_study, study_config

CONFIG = study_config()


def states(folder: Path) -> list[str]:
    return [trial.state.name for trial in make_study(folder, CONFIG).trials]


def asked_outside(folder: Path) -> Trial:
    """Two trials wait, and a script takes the first."""
    study = make_study(folder, CONFIG)
    study.enqueue_trial({"dim": 16})
    return study.ask()


def ledger_in(folder: Path, monkeypatch: pytest.MonkeyPatch, *, patient: bool = True) -> Ledger:
    monkeypatch.setattr(storage_retries, "SHORTEST_WAIT", 0.001)
    ledger = make_ledger(folder, CONFIG)
    ledger.outages = StorageRetries(StudyLock(), lambda _: None, lambda: not patient)
    return ledger


def break_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage goes away in the middle of the next start."""
    draw, broken = SearchSpace.suggest, list[int]()

    def suggest(space: SearchSpace, trial: Trial, seed: int) -> TrainConfig:
        if not broken:
            broken.append(trial.number)
            raise StorageUnreachable("the server restarts")
        return draw(space, trial, seed)

    monkeypatch.setattr(SearchSpace, "suggest", suggest)


def test_an_outage_leaves_the_trials_of_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = ledger_in(tmp_path, monkeypatch)
    asked_outside(tmp_path)
    away = [StorageUnreachable("the server restarts")]

    def read() -> int:
        if away:
            raise away.pop()
        return 1

    assert ledger.call(read) == 1
    assert states(tmp_path) == ["RUNNING", "WAITING"]


def test_a_start_that_breaks_is_repeated_and_takes_no_trial_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_outside(tmp_path)
    ledger = ledger_in(tmp_path, monkeypatch)
    break_starts(monkeypatch)
    assert ledger.start("scripted", 1).number == 1
    assert states(tmp_path) == ["RUNNING", "RUNNING"]
    assert ledger.start("scripted", 1).number == 2


def test_a_waiting_trial_of_others_that_a_broken_start_took_is_queued_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has parameters and no attempt, as a trial that another program runs."""
    ledger = ledger_in(tmp_path, monkeypatch)
    distributions = {"foo": FloatDistribution(0.0, 1.0)}
    waiting = create_trial(
        state=TrialState.WAITING, params={"foo": 0.5}, distributions=distributions
    )
    make_study(tmp_path, CONFIG).add_trial(waiting)
    break_starts(monkeypatch)
    assert ledger.start("scripted", 1).number == 0


def test_what_others_ask_for_while_a_start_is_broken_is_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = ledger_in(tmp_path, monkeypatch)
    break_starts(monkeypatch)
    after = ledger._after_outage

    def meanwhile() -> None:
        if len(states(tmp_path)) == 1:
            make_study(tmp_path, CONFIG).ask().suggest_float("foo", 0.0, 1.0)
        after()

    monkeypatch.setattr(ledger, "_after_outage", meanwhile)
    assert ledger.start("scripted", 1).number == 0
    assert states(tmp_path) == ["RUNNING", "RUNNING"]
    assert ledger.start("scripted", 1).number == 2


@pytest.mark.parametrize("owned", [True, False])
def test_a_run_that_ends_in_an_outage_fails_its_own_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owned: bool
) -> None:
    asked_outside(tmp_path)
    ledger = ledger_in(tmp_path, monkeypatch, patient=False)
    ledger.start("scripted", 1)
    break_starts(monkeypatch)
    with pytest.raises(StorageUnreachable):
        ledger.start("scripted", 1)
    ledger.fail_running(owned=owned)
    broken = "FAIL" if owned else "RUNNING"  # which may be the next launcher's
    assert states(tmp_path) == ["RUNNING", "FAIL", broken]

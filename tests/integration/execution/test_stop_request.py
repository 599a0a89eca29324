"""A request from outside parks the launcher that it names, and no later one."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from hpo.execution import scheduler as scheduler_module
from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import Assignment, RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.execution.stopping import stop_request
from hpo.execution.stopping.stop_request import ask_to_stop, last_launcher
from hpo.study.storage import is_lost
from tests.support.mlflow_server import eventually
from tests.support.scripted import MemoryProgress, ScriptedRunner, make_study, study_config

CONFIG = study_config()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(make_study(tmp_path, CONFIG), CONFIG, tmp_path / "parked")


def test_the_launcher_parks_at_its_next_look(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "REQUEST_SECONDS", 0.0)
    runner = ScriptedRunner(lambda _: [0.1, 0.2, 0.3, 0.4])

    def ask(assignment: Assignment) -> None:
        if assignment.number == 2 and len(assignment.results) == 2:
            study = make_study(tmp_path, CONFIG)  # as another process opens it
            launcher = last_launcher(study)
            assert launcher is not None
            ask_to_stop(study, launcher)
            eventually(lambda: runner.parking)

    progress = MemoryProgress(ask)
    ledger.sign_on()
    assert Scheduler(ledger, [runner], progress, CONFIG.n_trials).run() == RunEnd("requested", 2)
    assert progress.notes == ["hpo stop was called; parking the running trials"]
    states = [trial.state.name for trial in make_study(tmp_path, CONFIG).trials]
    assert states == ["COMPLETE", "COMPLETE", "WAITING"]


def test_a_request_is_for_one_launcher(tmp_path: Path, ledger: Ledger) -> None:
    assert not ledger.is_asked_to_stop()  # it has not signed on
    ledger.sign_on()
    study = make_study(tmp_path, CONFIG)
    first = last_launcher(study)
    assert first is not None
    ask_to_stop(study, first)
    assert ledger.is_asked_to_stop()
    later = Ledger(make_study(tmp_path, CONFIG), CONFIG)
    later.sign_on()
    assert not later.is_asked_to_stop()
    ask_to_stop(study, first)  # late: the launcher that it is for has ended
    assert not later.is_asked_to_stop()


def test_a_look_reads_no_other_attributes(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mirror keeps two for each trial: half a second for those of ten thousand trials."""

    def refuse(*_: object) -> None:
        raise AssertionError("all attributes of the study are read")

    ledger.sign_on()
    monkeypatch.setattr(RDBStorage, "get_study_system_attrs", refuse)
    assert not ledger.is_asked_to_stop()
    launcher = last_launcher(ledger.study)
    assert launcher is not None
    ask_to_stop(ledger.study, launcher)
    assert ledger.is_asked_to_stop()
    ledger.study._storage.delete_study(ledger.study._study_id)
    assert not ledger.is_asked_to_stop(), "the next write tells that the study is gone"
    with pytest.raises(KeyError) as caught:
        last_launcher(ledger.study)
    assert is_lost(caught.value)


def test_a_signal_after_a_request_is_the_first_one(ledger: Ledger) -> None:
    progress = MemoryProgress()
    scheduler = Scheduler(ledger, [], progress, CONFIG.n_trials)
    for reason in ("requested", "interrupted"):
        scheduler.park(reason)
    assert progress.notes[1] == "parking the running trials; press Ctrl-C again to stop at once"
    assert scheduler.run() == RunEnd("interrupted", 0)


@pytest.mark.parametrize("error", [StorageInternalError("away"), TypeError("a bug")])
def test_only_a_storage_that_does_not_answer_counts_as_no_request(
    ledger: Ledger, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    ledger.sign_on()
    monkeypatch.setattr(stop_request, "system_attribute", fail)
    if isinstance(error, StorageInternalError):
        assert not ledger.is_asked_to_stop()
    else:
        with pytest.raises(TypeError, match="a bug"):
            ledger.is_asked_to_stop()

"""The beginning and the end of a launch: who signs on, what is sent, told, reported, promoted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial

from hpo.config.locations import Locations
from hpo.config.next_commands import command
from hpo.config.study_config import StudyConfig
from hpo.errors import StudyStopped
from hpo.execution import launcher as launcher_module, session as session_module
from hpo.execution.launcher import launch
from hpo.execution.request import Request
from hpo.execution.running_trial import RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.execution.stopping.stop_request import SignedOn, last_launcher
from hpo.reporting.folders import report_folder
from hpo.study.locks import exclusive, is_owned
from hpo.tracking import mirror as mirror_module
from hpo.tracking.background import MirrorThread
from recsys.cli import INTERRUPTED
from tests.support.examples import conveyor
from tests.support.mlflow_store import fresh_store
from tests.support.real_study import write_csv
from tests.support.tuning import tune_here
from tests.support.webhook import listening

NAME = "tiny-interactions"  # of the studies of `tune_here`


def request(folder: Path, **values: Any) -> Request:
    """A small study that reports and promotes."""
    data = folder / "shop.csv"
    write_csv(data, conveyor())
    config = StudyConfig.model_validate({
        "name": "shop", "data": str(data), "base": {"dim": 8, "epochs": 1}, "n_trials": 2,
        "space": {"lr": {"low": 0.01, "high": 0.2}},
        "promotion": {"must_beat": ["champion", "popularity"]},
    })  # fmt: skip
    places = Locations(f"sqlite:///{(folder / 'optuna.db').as_posix()}", fresh_store(folder))
    made = Request(config, "shop", places, "inline", ["cpu"], tracking=True, report=True,
                   promote=True)  # fmt: skip
    return replace(made, **values)


def test_the_end_names_no_trial_that_breaks_a_limit(tmp_path: Path) -> None:
    with listening() as hook:
        limits = {"recall_at_10": {"max": 0.0}, "coverage_at_10": {"min": 0.999}}
        told = {"notify.url": hook.url, "constraints": limits}
        result = tune_here(tmp_path, settings=told, n_trials=3, verbose=False)
        (message,) = hook.messages
    assert len(result.record.infeasible) == 3
    assert message["best"] is None
    assert message["next"].startswith("python -m hpo.report ")


@pytest.mark.parametrize("reason", ["requested", "terminated"])
def test_a_study_that_becomes_complete_while_it_is_stopped_leaves_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    run, stop, limits = Scheduler.run, MirrorThread.stop, []

    def stopped(scheduler: Scheduler) -> RunEnd:
        return replace(run(scheduler), despite=reason)

    def limited(mirror: MirrorThread, seconds: float) -> object:
        limits.append(seconds)
        return stop(mirror)

    def refuse(*_: object) -> int:
        raise AssertionError("a promotion on a machine that somebody wants back")

    monkeypatch.setattr(Scheduler, "run", stopped)
    monkeypatch.setattr(MirrorThread, "stop", limited)
    monkeypatch.setattr(launcher_module, "promote_winner", refuse)
    asked = request(tmp_path)
    assert launch(asked) == 0
    assert not report_folder(asked.locations, "shop").exists()
    assert limits == [{"requested": 60.0, "terminated": 3.0}[reason]]


@pytest.mark.parametrize("reason", ["requested", "terminated"])
def test_a_sync_that_goes_on_after_a_stop_holds_the_study_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    run, store = Scheduler.run, str(tmp_path / "store")
    monkeypatch.setattr(Scheduler, "run", lambda one: replace(run(one), despite=reason))
    monkeypatch.setitem(session_module.SYNC_SECONDS, reason, 0.0)
    asked = request(tmp_path, tracking=False)
    asked = replace(asked, locations=replace(asked.locations, artifacts=store))
    with exclusive(asked.locations.storage, "shop", role="sync"):
        assert launch(asked) == 3
    told = capsys.readouterr().out
    again = command("sync", "shop", asked.locations)
    assert f"the artifact store is incomplete: a sync is still running\n  {again}" in told


def test_parked_trainings_are_recorded_and_sent_before_another_launcher_may_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(tmp_path, promote=False, report=False, tracking=False)
    storage, seen = asked.locations.storage, []

    def see(*_: object) -> str:
        seen.append(is_owned(storage, "shop"))
        return ""

    for name in ("record_snapshots", "send_files"):
        monkeypatch.setattr(session_module, name, see)
    assert launch(asked) == 0
    assert seen == [True, True]


def test_the_end_is_told_before_files_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A container may be killed while it sends, and a storage may be away when it is written."""
    asked = request(tmp_path, promote=False, report=False, tracking=False, json=True)
    told: list[tuple[bool, str, str]] = []

    def fail(*_: object) -> None:
        told.append((is_owned(asked.locations.storage, "shop") is True, *capsys.readouterr()))
        raise StudyStopped("the storage is away")

    monkeypatch.setattr(session_module, "record_snapshots", fail)
    with pytest.raises(StudyStopped):
        launch(asked)
    ((owned, events, shown),) = told
    assert owned
    assert json.loads(events.splitlines()[-1])["event"] == "finished"
    assert "0 (defaults)" in shown


@pytest.mark.parametrize(("first", "again", "code"), [(3, 0, 0), (0, 3, 3), (3, 3, 3)])
def test_the_last_sending_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, again: int, code: int
) -> None:
    asked = request(tmp_path, promote=False, tracking=False)
    store = tmp_path / "store"
    asked = replace(asked, locations=replace(asked.locations, artifacts=str(store)))
    send, codes = session_module.send_files, iter([first, again])

    def send_or_fail(*arguments: Any) -> str:
        return "the artifact store is incomplete" if next(codes) else send(*arguments)

    monkeypatch.setattr(session_module, "send_files", send_or_fail)
    assert launch(asked) == code
    assert next(codes, None) is None
    assert any(store.rglob("*report.html")) is not bool(again)


def test_a_trial_that_mlflow_cannot_show_keeps_the_report_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, asked = mirror_module.project_trial, request(tmp_path, promote=False)

    def refuse(view: Any, trial: FrozenTrial, parent: str) -> object:
        if trial.number == 0:
            raise ValueError("no such column")
        return project(view, trial, parent)

    monkeypatch.setattr(mirror_module, "project_trial", refuse)
    assert launch(asked) == 3
    told, refused = capsys.readouterr().out, "trial 0 cannot be shown in MLflow: ValueError"
    assert f"MLflow is incomplete: {refused}" in told
    assert "its trials in MLflow, the best first" in told
    assert "in MLflow: folder report of run " in told


@pytest.mark.parametrize("interrupted", ["first", "second"])
def test_nothing_long_starts_after_an_interrupted_sending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: str
) -> None:
    asked, calls = request(tmp_path, tracking=False), list[object]()

    def interrupt(*arguments: object) -> str:
        calls.append(arguments)
        if len(calls) == ["first", "second"].index(interrupted) + 1:
            raise KeyboardInterrupt
        return ""

    def refuse(*_: object) -> int:
        raise AssertionError("a promotion after Ctrl-C")

    monkeypatch.setattr(session_module, "send_files", interrupt)
    monkeypatch.setattr(launcher_module, "promote_winner", refuse)
    assert launch(asked) == INTERRUPTED
    page = report_folder(asked.locations, "shop") / "report.html"
    assert page.exists() == (interrupted == "second")


def test_a_launcher_signs_on_before_its_long_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `hpo stop` would ask the one before it."""
    make_record, seen = launcher_module.make_record, list[SignedOn | None]()

    def see(*arguments: Any) -> Any:
        studies = optuna.get_all_study_names(storage)
        seen.append(last_launcher(optuna.load_study(study_name=NAME, storage=storage))
                    if studies else None)  # fmt: skip
        return make_record(*arguments)

    monkeypatch.setattr(launcher_module, "make_record", see)
    storage = f"sqlite:///{(tmp_path / 'optuna.db').as_posix()}"
    for n_trials in (1, 2):
        tune_here(tmp_path, n_trials=n_trials, verbose=False)
    first, second = seen
    now = last_launcher(optuna.load_study(study_name=NAME, storage=storage))
    assert first is None
    assert second == now

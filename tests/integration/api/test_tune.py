"""`hpo.tune` is the study of the command: continued, parked, found by its name, from any thread."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import hpo
from hpo import StudyResult, TrialEnd
from hpo.errors import SettingsError, StudyError
from recsys.artifacts import sqlite_url
from recsys.config import TrainConfig
from recsys.datasets.registry import load_dataset
from recsys.errors import DataError
from tests.support.commands import shop
from tests.support.tuning import tune_here as tune


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def result(folder: Path) -> StudyResult:
    return tune(folder, n_trials=3, objective="mrr", settings={"space.dim.high": 12}, verbose=False)


def test_the_result_has_all_of_the_study(result: StudyResult) -> None:
    assert result.name == "tiny-interactions"
    assert (result.n_finished, result.is_complete, result.objective) == (3, True, "mrr")
    trials = result.trials
    assert trials["number"].to_list() == [0, 1, 2]
    assert trials["dim"].max() <= 12  # type: ignore[operator]
    best = trials.sort("value", descending=True).row(0, named=True)
    assert result.best_value == best["value"]
    assert result.best_trial == best["number"]
    assert isinstance(result.best_config, TrainConfig)
    assert (result.best_config.dim, result.best_config.seed) == (best["dim"], best["seed"])
    assert str(result) == "study tiny-interactions: 3 of 3 trials finished"
    page = result._repr_html_()
    assert f"<td>{result.best_value:.4f}</td>" in page


def test_a_stored_study_is_the_same(result: StudyResult, folder: Path) -> None:
    by_file = hpo.load_study(storage=folder / "optuna.db")
    assert by_file.trials.equals(result.trials)
    assert hpo.load_study(result.name, storage=result.locations.storage).name == result.name
    with pytest.raises(StudyError, match="no study 'other' here"):
        hpo.load_study("other", storage=folder / "optuna.db")


def test_the_same_call_continues(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ends: list[TrialEnd] = []
    assert tune(tmp_path, n_trials=1, callbacks=[ends.append]).n_finished == 1
    assert "next:" in capsys.readouterr().out
    again = tune(tmp_path, n_trials=2, callbacks=[ends.append], verbose=False)
    assert again.trials["state"].to_list() == ["COMPLETE", "COMPLETE"]
    assert [(end.number, end.state, end.epochs) for end in ends] == [
        (0, "complete", 2),
        (1, "complete", 2),
    ]
    assert [end.value for end in ends] == again.trials["value"].to_list()
    assert capsys.readouterr().out == ""


def test_an_interrupt_parks_and_no_handler_is_taken(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    during = []

    def interrupt(_: TrialEnd) -> None:
        during.append((signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)))
        if len(during) == 1:
            os.kill(os.getpid(), signal.SIGINT)  # as the stop button of a notebook

    with pytest.raises(KeyboardInterrupt, match="the same call resumes it"):
        tune(tmp_path, n_trials=500, callbacks=[interrupt])
    assert set(during) == {before}
    parked = hpo.load_study(storage=tmp_path / "optuna.db")
    states = set(parked.trials["state"])
    assert "COMPLETE" in states
    assert states <= {"COMPLETE", "WAITING"}
    assert not parked.is_complete
    n = parked.n_finished + 1
    assert tune(tmp_path, n_trials=n).n_finished == n


def test_an_error_of_a_callback_stops_the_study_and_is_raised(tmp_path: Path) -> None:
    def stop(end: TrialEnd) -> None:
        raise ZeroDivisionError(end.number)

    with pytest.raises(ZeroDivisionError):
        tune(tmp_path, callbacks=[stop])
    assert hpo.load_study(storage=tmp_path / "optuna.db").trials["state"].to_list() == ["COMPLETE"]


def test_a_study_runs_in_any_thread(tmp_path: Path) -> None:
    found: list[StudyResult] = []
    thread = threading.Thread(target=lambda: found.append(tune(tmp_path, n_trials=1)))
    thread.start()
    thread.join()
    assert found[0].is_complete


def test_a_table_is_stored_beside_the_study(tmp_path: Path) -> None:
    table = pl.read_csv(shop(tmp_path))
    first = tune(tmp_path, data=table.to_pandas(), n_trials=1)
    (stored,) = (tmp_path / "data").iterdir()
    assert first.name == f"tiny-{stored.name}"
    assert first.record.config.data.source == str(stored)
    assert (
        load_dataset(stored).interactions.fingerprint
        == load_dataset(table).interactions.fingerprint
    )
    columns = tuple(table[name] for name in table.columns)
    assert tune(tmp_path, data=columns, n_trials=1).name == first.name


def test_wrong_settings_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        tune(tmp_path, n_trials=0, objective="clicks", settings={"space.dim.high": 0})
    assert len(caught.value.problems) >= 3
    assert not (tmp_path / "optuna.db").exists()
    with pytest.raises(SettingsError, match="give hpo.tune the name, path or table"):
        tune(tmp_path, data=load_dataset(shop(tmp_path)))
    with pytest.raises(DataError, match="^data: no user column") as unread:
        tune(tmp_path, data={"who": [1, 2], "item_id": [1, 2]})
    assert unread.value.__notes__ == ["in hpo.tune: settings={\"data.user_col\": 'who'}"]


def test_a_quiet_study_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tune(tmp_path, n_trials=1, verbose=False)
    assert capsys.readouterr() == ("", "")


def test_a_result_stays_that_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "optuna.db").symlink_to(tmp_path / "big disk.db")
    result = hpo.tune("demo", 1, "smoke", tracking=False, verbose=False)
    assert (tmp_path / "studies" / ".locks").exists(), "the lock is where the command has it"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(result.trials) == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"runner": "Inline"}, "runner='Inline': give one of 'process', 'inline', 'ray'"),
        ({"data": ""}, "data='' is empty; give the name of a data set, a path or a table, or None"),
        ({"tracking": 3}, "tracking=3: give True, False, None, the Path of an SQLite"),
        ({"callbacks": print}, "callbacks=<built-in function print>: give a list of functions"),
        ({"callbacks": ["print"]}, "callbacks=['print']: give a list of functions, for instance"),
    ],
)
def test_an_argument_that_is_none_of_those_allowed_is_refused_before_anything_starts(
    tmp_path: Path, arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        tune(tmp_path, n_trials=1, **arguments)
    (problem,) = caught.value.problems
    assert problem.startswith(told)
    assert not (tmp_path / "optuna.db").exists()


def test_the_mirror_may_be_given_as_the_path_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "mlflow.db"
    result = tune(tmp_path, n_trials=1, tracking=path, verbose=False)
    assert result.locations.tracking_uri == sqlite_url(path)
    assert path.exists()

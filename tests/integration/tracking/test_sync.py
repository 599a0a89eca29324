"""`python -m hpo.sync`, as it is called."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hpo import sync
from hpo.errors import StudyError
from hpo.study.locks import exclusive
from recsys.artifacts.mlflow_client import TrackingUriError
from recsys.errors import TrackingError
from tests.support.fake_study import FakeStudy, locations
from tests.support.mlflow_server import by_trial, eventually, stored_runs


@pytest.fixture
def study(tmp_path: Path, mlflow_uri: str) -> FakeStudy:
    made = FakeStudy(locations(tmp_path, mlflow_uri), n_trials=2)
    made.run(TrialState.COMPLETE)
    return made


def options(study: FakeStudy, *more: str) -> list[str]:
    stores = ["--storage", study.locations.storage, "--tracking-uri", study.locations.tracking_uri]
    return [*stores, *more]


def test_it_says_what_it_did_and_where_to_look(
    study: FakeStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sync.main(options(study)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("study fake-demo: 1 trial in MLflow, 2 runs created, 0 updated")
    uri, uid = study.locations.tracking_uri, study.record.uid
    stores = f"--storage {study.locations.storage} --tracking-uri {uri}"
    assert lines[1:] == [
        "see it:",
        f"  python -m hpo.dashboard --study-name fake-demo {stores}",
        (
            "  http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&searchFilter="
            f"tags.%60hpo.study_uid%60%20%3D%20%27{uid}%27%20AND%20tags.%60hpo.kind%60%20%3D%20%27"
            "trial%27&orderByKey=metrics.best_recall_at_10&orderByAsc=false&compareRunsMode=CHART"
        ),
    ]


def test_an_experiment_of_ones_own(study: FakeStudy) -> None:
    sync.main(options(study, "--experiment-name", "mine", "--study-name", "fake-demo"))
    assert len(stored_runs(study.locations.tracking_uri, "mine")) == 2


def test_before_the_first_trial(
    tmp_path: Path, mlflow_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sync.main(options(FakeStudy(locations(tmp_path, mlflow_uri))))
    assert capsys.readouterr().out.splitlines()[-1] == "no trial has started yet"


def test_no_server_is_exit_code_3(study: FakeStudy) -> None:
    stores = ["--storage", study.locations.storage, "--tracking-uri", "http://127.0.0.1:9"]
    with pytest.raises(TrackingError, match="refused") as error:
        sync.main(stores)
    assert error.value.exit_code == 3


def test_a_folder_is_exit_code_2(study: FakeStudy) -> None:
    with pytest.raises(TrackingUriError, match="migrate-filestore") as error:
        sync.main(["--storage", study.locations.storage, "--tracking-uri", "./mlruns"])
    assert error.value.exit_code == 2


def test_follow_ends_with_the_study(
    study: FakeStudy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sync, "FOLLOW_SECONDS", 0.05)
    follower = threading.Thread(target=sync.main, args=(options(study, "--follow"),))
    follower.start()
    eventually(lambda: len(stored_runs(study.locations.tracking_uri)) == 2)
    assert follower.is_alive()
    study.run(TrialState.PRUNED)
    follower.join(60)
    assert not follower.is_alive()
    assert by_trial(study.locations.tracking_uri)[None].status == "FINISHED"
    assert "1 run created, 1 updated" in capsys.readouterr().out


def test_a_check_while_the_study_runs_says_so(
    study: FakeStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    with exclusive(study.locations.storage, "fake-demo"):
        assert sync.main(options(study, "--check")) == 3
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("study fake-demo: 1 difference; the study is running, so news")
    assert sync.main(options(study, "--check")) == 3
    said = capsys.readouterr().out
    assert "1 difference; python -m hpo.sync --study-name fake-demo --storage " in said
    assert " writes what is missing" in said


def test_a_lock_that_cannot_be_made_is_told(
    study: FakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", "somewhere/x.lock")

    monkeypatch.setattr("hpo.study.locks.FileLock.acquire", refuse)
    for flags in ([], ["--check"]):
        with pytest.raises(StudyError, match=r"x\.lock: Read-only file system; make that folder"):
            sync.main(options(study, *flags))


@pytest.mark.new_interpreters
@pytest.mark.slow
def test_two_at_once_make_one_run_a_trial(study: FakeStudy) -> None:
    study.add_finished(10, 5)
    command = [sys.executable, "-m", "hpo.sync", *options(study)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len(by_trial(study.locations.tracking_uri)) == 12
    created = [int(text.split(" in MLflow, ")[1].split()[0]) for text in said]
    assert sum(created) == 12


def test_help_needs_neither_optuna_nor_mlflow() -> None:
    code = (
        "import hpo.sync, hpo.dashboard, sys; print({'mlflow', 'optuna', 'torch'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

"""`hpo copy-study`: the study goes on elsewhere as if it had stayed, and only there."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from hpo.cli import copy_study, delete, moving
from hpo.cli.moving import move_study, take_back
from hpo.cli.overview import Overview
from hpo.errors import SettingsError, StudyError
from hpo.study.files.artifacts import artifact_folder, stored_artifacts
from hpo.study.lifecycle import load_named, open_study
from hpo.study.locks import exclusive, sqlite_path
from hpo.study.records import EPOCHS, Moved
from hpo.study.storage import existing_storage, open_storage
from hpo.tracking.dashboard_notes import link_line, write_link_lines
from hpo.tracking.mirror import Mirror
from tests.support.fake_study import FakeStudy, locations
from tests.support.mirrored import all_states, assert_mirrored
from tests.support.mlflow_server import by_trial
from tests.support.postgresql import postgresql_url
from tests.support.real_study import RealStudy

__all__ = ["postgresql_url"]

TPE = {"name": "tpe", "startup": 2}


def content(study: optuna.Study) -> list[dict[str, Any]]:
    """All that a storage has on the trials, but Optuna's ids."""
    fields = ["number", "state", "values", "params", "distributions", "intermediate_values"]
    fields += ["user_attrs", "system_attrs", "datetime_start", "datetime_complete"]
    return [{name: getattr(trial, name) for name in fields} for trial in study.get_trials()]


def numbers(study: optuna.Study) -> list[tuple[Any, ...]]:
    """All that a training decides: params, values, every epoch's columns."""
    found = []
    for trial in study.get_trials():
        columns = {**trial.user_attrs[EPOCHS], "time_ms": None}
        found.append((trial.params, trial.values, trial.intermediate_values, columns))
    return found


@pytest.fixture
def fake(tmp_path: Path) -> FakeStudy:
    """Trials in all states, a report, a model, notes."""
    study = FakeStudy(locations(tmp_path / "old"))
    all_states(study)
    trial = study.study.trials[5]
    notes = {None: link_line("http://a/b"), trial._trial_id: link_line("http://a/c")}
    write_link_lines(study.study, notes)
    return study


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the folders of both storages; a server's files go to `studies` in this folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("old", "new"):
        (tmp_path / name).mkdir(exist_ok=True)


def new_sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{(tmp_path / 'new' / 'optuna.db').as_posix()}"


def test_a_study_moved_to_postgresql_in_its_middle_ends_as_one_that_stayed(
    tmp_path: Path, postgresql_url: str
) -> None:
    stayed = RealStudy(tmp_path).train("stayed", 8, sampler=TPE)
    real = RealStudy(tmp_path)
    before = real.train("went", 4, sampler=TPE)
    move_study(real.locations.storage, postgresql_url, "went")
    with pytest.raises(StudyError, match=r"went' was moved and goes on in postgresql.*--undo"):
        real.train("went", 1, sampler=TPE)
    real.locations = replace(real.locations, storage=postgresql_url)
    went = real.train("went", 4, sampler=TPE)
    assert content(went)[:4] == content(before)
    assert len({str(trial.params) for trial in went.trials}) == 8
    assert numbers(went) == numbers(stayed)


def test_everything_of_a_study_moves_and_its_runs_in_mlflow_stay(
    fake: FakeStudy, mlflow_uri: str, postgresql_url: str
) -> None:
    here = replace(fake.locations, tracking_uri=mlflow_uri)
    name, before = fake.study.study_name, content(fake.study)
    mirror = Mirror(here, name)
    mirror.sync()
    mirror.close()
    runs = {key: run.run_id for key, run in by_trial(mlflow_uri).items()}
    files = stored_artifacts(fake.study, fake.record.uid)

    moved = move_study(here.storage, postgresql_url, None)
    assert (moved.name, moved.n_trials) == (name, len(before))
    there = replace(here, storage=postgresql_url)
    study = load_named(existing_storage(postgresql_url), name)
    assert content(study) == before
    assert stored_artifacts(study, fake.record.uid) == files
    trial = study.trials[5]._trial_id
    attrs = study._storage.get_study_system_attrs(study._study_id)
    assert attrs[f"dashboard:{trial}:note_str:0"].startswith(link_line("http://")[:20])

    mirror = Mirror(there, name)
    report = mirror.sync()
    assert (report.created, report.absent) == (0, ())
    assert_mirrored(mirror, mlflow_uri, there.experiment)
    assert {key: run.run_id for key, run in by_trial(mlflow_uri).items()} == runs
    mirror.close()
    with pytest.raises(StudyError, match="was moved"):
        Mirror(here, name)


def test_a_moved_study_refuses_to_go_on_until_the_move_is_taken_back(
    fake: FakeStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target, name = fake.locations.storage, new_sqlite(tmp_path), fake.study.study_name
    assert copy_study.main(["--from", source, "--to", target]) == 0
    assert "8 trials and 4 files moved" in capsys.readouterr().out
    assert Overview.of(fake.study, fake.locations).state == "moved"
    with pytest.raises(StudyError, match="was moved"):
        open_study(open_storage(source), name, fake.record)
    with pytest.raises(StudyError, match="has a study 'fake-demo' already"):
        move_study(source, target, name)
    with pytest.raises(StudyError, match="goes on there"):
        move_study(source, new_sqlite(tmp_path / "new"), name)
    assert copy_study.main(["--from", source, "--undo"]) == 0
    assert load_named(open_storage(source), name).study_name == name
    with pytest.raises(StudyError, match="was not moved"):
        take_back(source, name)


def test_a_study_moves_there_and_back(fake: FakeStudy, tmp_path: Path) -> None:
    source, target, name = fake.locations.storage, new_sqlite(tmp_path), fake.study.study_name
    before = content(fake.study)
    move_study(source, target, name)
    move_study(target, source, name)
    assert content(load_named(existing_storage(source), name)) == before
    with pytest.raises(StudyError, match="was moved"):
        load_named(existing_storage(target), name)


def test_what_others_use_is_left_alone(fake: FakeStudy, tmp_path: Path) -> None:
    source, target, name = fake.locations.storage, new_sqlite(tmp_path), fake.study.study_name
    with pytest.raises(SettingsError, match="are the same storage"):
        move_study(source, source, name)
    with exclusive(source, name), pytest.raises(StudyError, match=r"is run by.*stop it first"):
        move_study(source, target, name)
    other = FakeStudy(replace(fake.locations, storage=target))
    with pytest.raises(StudyError, match="has a study 'fake-demo' already, which is left"):
        move_study(source, target, name)
    assert Moved.of(fake.study) is None
    assert load_named(existing_storage(target), name).user_attrs == other.study.user_attrs


def kill(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("place", "what", "may_go_on"),
    [
        (moving, "_copy_trials", 1),
        (moving, "_copy_files", 1),
        (moving, "asdict", 1),
        (optuna.Study, "set_user_attr", 0),
    ],
)
def test_a_killed_move_never_leaves_two_living_studies_and_is_completed(
    fake: FakeStudy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: Any,
    what: str,
    may_go_on: int,
) -> None:
    source, target, name = fake.locations.storage, new_sqlite(tmp_path), fake.study.study_name
    before = content(fake.study)

    def goes_on(url: str) -> bool:
        try:
            return bool(load_named(existing_storage(url), name))
        except StudyError:
            return False

    with monkeypatch.context() as patch:
        patch.setattr(place, what, kill)
        with pytest.raises(KeyboardInterrupt):
            move_study(source, target, name)
    assert goes_on(source) + goes_on(target) == may_go_on
    move_study(source, target, name)
    assert (goes_on(source), goes_on(target)) == (False, True)
    assert content(load_named(existing_storage(target), name)) == before


@pytest.mark.parametrize("shared", [True, False])
def test_the_old_copy_is_deleted_without_files_of_the_new_one(
    fake: FakeStudy, tmp_path: Path, shared: bool
) -> None:
    source, name = fake.locations.storage, fake.study.study_name
    target = source.replace("optuna.db", "other.db") if shared else new_sqlite(tmp_path)
    move_study(source, target, name)
    delete.main(["--storage", source, "--yes"])

    def n_files(folder: str) -> int:
        return len(list((tmp_path / folder / "optuna-artifacts").glob("*")))

    assert n_files("old") == (4 if shared else 0)
    assert n_files("new") == (0 if shared else 4)
    assert fake.study.study_name == load_named(existing_storage(target), None).study_name
    assert {trial.state for trial in load_named(existing_storage(target), name).trials} >= {
        TrialState.COMPLETE,
        TrialState.WAITING,
    }


def test_a_folder_of_the_study_may_be_a_link(fake: FakeStudy, tmp_path: Path) -> None:
    kept = artifact_folder(fake.locations.storage)
    elsewhere = kept.rename(tmp_path / "big disk")
    kept.symlink_to(elsewhere, target_is_directory=True)
    target = new_sqlite(tmp_path)
    moved = move_study(fake.locations.storage, target, fake.study.study_name)
    assert moved.n_files == 4
    there = {path.name for path in artifact_folder(target).iterdir()}
    assert there == {path.name for path in elsewhere.iterdir()}


def test_one_storage_in_two_spellings_is_one(
    fake: FakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sqlite_path(fake.locations.storage)
    assert path is not None
    monkeypatch.chdir(path.parent)
    with pytest.raises(SettingsError, match="--from and --to are the same storage"):
        move_study(fake.locations.storage, "sqlite:///optuna.db", fake.study.study_name)


def test_who_only_looks_does_not_own_the_study(fake: FakeStudy, tmp_path: Path) -> None:
    source, name = fake.locations.storage, fake.study.study_name
    looked, release = threading.Event(), threading.Event()

    def look() -> None:
        with exclusive(source, name):
            looked.set()
            release.wait(0.5)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(look)
        looked.wait()
        assert move_study(source, new_sqlite(tmp_path), name).name == name


def test_the_printed_sync_is_one_of_the_mlflow_that_was_named(
    fake: FakeStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--from", fake.locations.storage, "--to", new_sqlite(tmp_path)]
    words += ["--tracking-uri", "http://mlflow:5000", "--experiment-name", "shop"]
    assert copy_study.main(words) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "next" in line]
    assert "--tracking-uri http://mlflow:5000 --experiment-name shop" in line

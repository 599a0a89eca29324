"""What a study keeps: whole after any kill, never doubled, and nobody else's business."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact
from optuna.trial import TrialState

from hpo.errors import StudyError
from hpo.study.files import artifacts as kept
from hpo.study.files.artifacts import StoredArtifact, artifact_folder, stored_artifacts
from hpo.study.files.contents import DashboardFiles
from hpo.study.locks import exclusive
from hpo.study.storage import folder_of_storage
from tests.support.fake_study import FakeStudy, locations
from tests.support.mlflow_server import eventually

REPORT = ["history.png", "report.html"]
MODEL = ["item_vecs.npy", "model_meta.json"]


@pytest.fixture
def study(tmp_path: Path) -> FakeStudy:
    made = FakeStudy(locations(tmp_path))
    for _ in range(3):
        made.run(TrialState.COMPLETE)
    return made


def folder(study: FakeStudy) -> Path:
    return artifact_folder(study.locations.storage)


def files(study: FakeStudy) -> dict[int | None, list[StoredArtifact]]:
    return stored_artifacts(study.study, study.record.uid)


def names(study: FakeStudy) -> dict[int | None, list[str]]:
    return {key: [file.name for file in listed] for key, listed in files(study).items()}


def texts(study: FakeStudy) -> dict[tuple[int | None, str], str]:
    """(trial, name) to content, of all that the attributes name."""
    listed = [file for group in files(study).values() for file in group]
    return {(f.trial, f.name): (folder(study) / f.artifact_id).read_text() for f in listed}


def assert_whole(study: FakeStudy) -> None:
    """Every attribute has its file, every file its attribute, and nothing else lies about."""
    listed = [file for group in files(study).values() for file in group]
    there = sorted(path.name for path in folder(study).iterdir())
    assert there == sorted(file.artifact_id for file in listed)
    for file in listed:
        content = (folder(study) / file.artifact_id).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file.sha256


def test_files_are_kept_under_ids_that_optuna_takes(study: FakeStudy) -> None:
    study.keep(1)
    assert names(study) == {None: REPORT, 1: MODEL}
    assert_whole(study)
    (page,) = [meta for meta in get_all_artifact_meta(study.study) if meta.filename in REPORT[1]]
    assert (page.mimetype, page.encoding) == ("text/html", None)
    with DashboardFiles(study.locations, study.storage).open_reader(page.artifact_id) as file:
        assert file.read() == b"report.html, first"
    assert re.fullmatch("[0-9a-f-]+", page.artifact_id)  # what optuna-dashboard's routes take


def test_a_newer_report_takes_the_place_of_the_older(study: FakeStudy) -> None:
    study.keep(1)
    before = files(study)
    study.keep(2, "second")
    assert names(study) == {None: REPORT, 2: MODEL}
    assert set(texts(study).values()) == {
        "report.html, second", "history.png, second",
        "item_vecs.npy of trial 2, second", "model_meta.json of trial 2, second",
    }  # fmt: skip
    assert_whole(study)
    assert [f.artifact_id for f in files(study)[None]] == [f.artifact_id for f in before[None]]
    assert len(get_all_artifact_meta(study.study)) == 2  # an emptied attribute would break it


def test_again_changes_nothing(study: FakeStudy) -> None:
    study.keep(1)
    before = study.storage.get_study_system_attrs(study.study._study_id)
    study.keep(1)
    assert study.storage.get_study_system_attrs(study.study._study_id) == before
    assert_whole(study)


def test_without_a_model_that_of_the_same_trial_stays(study: FakeStudy) -> None:
    study.keep(1)
    study.keep(1, "second", model=False)
    assert texts(study)[1, "item_vecs.npy"] == "item_vecs.npy of trial 1, first"
    assert texts(study)[None, "report.html"] == "report.html, second"
    study.keep(2, "third", model=False)
    assert names(study) == {None: REPORT}
    assert_whole(study)


def test_others_are_left_alone(study: FakeStudy, tmp_path: Path) -> None:
    neighbour = FakeStudy(study.locations, name="neighbour")
    neighbour.run(TrialState.COMPLETE)
    neighbour.keep(0)
    (tmp_path / "mine.txt").write_text("a person's")
    store = FileSystemArtifactStore(folder(study))
    mine = upload_artifact(
        artifact_store=store, file_path=str(tmp_path / "mine.txt"), study_or_trial=study.study
    )
    theirs = texts(neighbour)
    study.keep(1)
    study.keep(2, "second")
    assert texts(neighbour) == theirs
    assert mine in {meta.artifact_id for meta in get_all_artifact_meta(study.study)}
    assert (folder(study) / mine).read_text() == "a person's"
    assert names(study) == {None: REPORT, 2: MODEL}


class Killed(BaseException):
    """Passes through everything, as a kill does."""


class Steps:
    """Counts the steps that last; the k-th (from 1) is not survived: `done` or not."""

    def __init__(self, patch: pytest.MonkeyPatch, k: int = 0, *, done: bool = False) -> None:
        self.n, self._k, self._done = 0, k, done
        for owner, name in ((kept, "_place"), (kept, "_set"), (Path, "unlink")):
            patch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.n += 1
            if self.n == self._k and not self._done:
                raise Killed
            result = step(*args, **kwargs)
            if self.n == self._k:
                raise Killed
            return result

        return counted


@pytest.mark.parametrize("done", [False, True])
def test_killed_at_any_step_the_next_call_repairs(study: FakeStudy, done: bool) -> None:
    study.keep(1)
    study.keep(2, "second")
    wanted = texts(study)
    study.keep(1)
    with pytest.MonkeyPatch.context() as patch:
        steps = Steps(patch)
        study.keep(2, "second")
    assert steps.n == 4 + 4 + 2 + 2  # files, attributes, emptied attributes, removed files
    for k in range(1, steps.n + 1):
        study.keep(1)
        with pytest.MonkeyPatch.context() as patch:
            Steps(patch, k, done=done)
            with pytest.raises(Killed):
                study.keep(2, "second")
        lost = [file for group in files(study).values() for file in group]
        assert all((folder(study) / file.artifact_id).exists() for file in lost), "dangles"
        study.keep(2, "second")
        assert texts(study) == wanted, f"step {k}"
        assert_whole(study)


def test_it_waits_for_a_sync(study: FakeStudy) -> None:
    keeping = threading.Thread(target=study.keep, args=(1,), daemon=True)
    with exclusive(study.locations.storage, study.study.study_name, role="sync"):
        keeping.start()
        threading.Event().wait(0.2)
        assert files(study) == {}
    eventually(lambda: not keeping.is_alive())
    assert names(study) == {None: REPORT, 1: MODEL}


def test_a_folder_that_cannot_be_written(study: FakeStudy) -> None:
    folder(study).write_text("a file")
    with pytest.raises(StudyError, match="artifacts cannot be kept in .*optuna-artifacts"):
        study.keep(1)
    assert files(study) == {}


def test_where_they_lie() -> None:
    assert artifact_folder("sqlite:///some/where/optuna.db") == Path("some/where/optuna-artifacts")
    assert folder_of_storage("postgresql+psycopg://host/database") == Path("studies")

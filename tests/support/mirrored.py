"""A study beside MLflow, and whether the one holds exactly what the other says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hpo.tracking.mirror import Mirror
from hpo.tracking.run_content import Content
from hpo.tracking.study_projection import project_study
from hpo.tracking.trial_projection import project_trial
from tests.support.fake_study import FakeStudy, locations
from tests.support.mlflow_server import (
    EXPERIMENT,
    StoredRun,
    by_trial,
)

COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


@pytest.fixture
def study(tmp_path: Path, mlflow_uri: str) -> FakeStudy:
    """An empty study beside an empty MLflow database."""
    return FakeStudy(locations(tmp_path))


@pytest.fixture
def mirror(study: FakeStudy) -> Iterator[Mirror]:
    made = Mirror(study.locations, None)
    yield made
    made.close()


def all_states(study: FakeStudy, longest: int = 3) -> None:
    """Eight trials: in each state, and one that never starts. `longest`: epochs of trial 5."""
    study.run(COMPLETE)
    study.run(PRUNED)
    study.run(FAIL, cause="error")
    killed = study.start()
    study.train(killed, 2)
    study.train(killed, 2, flush=False)
    study.end(killed, FAIL, "launcher-died")
    running = study.start()
    study.train(running, 2)
    study.run(COMPLETE, longest)
    parked = study.start()
    study.train(parked, 1)
    study.park(parked)  # the next one to ask would get it back
    study.keep(5)
    study.study.enqueue_trial({"dim": 20, "lr": 0.002})


def expected(mirror: Mirror, runs: dict[int | None, StoredRun]) -> dict[int | None, Content]:
    trials = mirror._study.get_trials(deepcopy=False)
    parent = runs[None].run_id
    mirror._look_at_artifacts()
    contents = [project_trial(mirror._view, trial, parent) for trial in trials]
    found = [content for content in [*contents, project_study(mirror._view, trials)] if content]
    return {content.trial: content for content in found}


def assert_holds(run: StoredRun, content: Content) -> None:
    """Exactly this content: no value more, none less, none twice."""
    assert (run.name, run.status, run.start_ms) == (content.name, content.status, content.start_ms)
    assert run.end_ms == content.end_ms
    assert run.params == content.params
    assert {name: run.tags[name] for name in content.tags} == content.tags
    own = {"hpo.synced", "mlflow.runName", "mlflow.note.content"}
    own |= {"hpo.files"} if content.files else set()
    assert set(run.tags) - set(content.tags) == own
    hashes = {path: hashlib.sha256(content).hexdigest() for path, content in run.files.items()}
    assert hashes == {file.path: file.sha256 for file in content.files}
    points = [
        (name, row.step, row.time_ms, float(value))
        for row in content.rows
        for name, value in zip(row.names, row.values, strict=True)
    ]
    assert run.points == sorted(points)


def assert_mirrored(mirror: Mirror, tracking: str | Path, experiment: str = EXPERIMENT) -> None:
    runs = by_trial(tracking, experiment)
    contents = expected(mirror, runs)
    assert set(runs) == set(contents)
    for key, content in contents.items():
        assert_holds(runs[key], content)
    if tracking == mirror._places.tracking_uri:
        assert mirror.check() == []

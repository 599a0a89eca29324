"""A clock that steps back between two ends costs the study's run nothing."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.study.records import OUTCOME, Outcome
from hpo.tracking.mirror import Mirror
from hpo.tracking.run_content import Content
from hpo.tracking.study_projection import project_study
from tests.support.fake_study import FakeStudy
from tests.support.mirrored import assert_mirrored, mirror, study
from tests.support.mlflow_server import by_trial, comparable

__all__ = ["mirror", "study"]


def end(study: FakeStudy, order: int, seconds: float) -> None:
    """Run a trial to its end, so many seconds after its start by the clock."""
    trial = study.start()
    assert trial.datetime_start is not None
    ended = round((trial.datetime_start.timestamp() + seconds) * 1000)
    trial.set_user_attr(OUTCOME, Outcome(0, 0.1, order=order, ended_ms=ended).as_dict())
    study.study.tell(trial, 0.1)


def test_the_run_grows_on(study: FakeStudy, mirror: Mirror) -> None:
    end(study, 0, 60)
    before = mirror.sync().run_id
    end(study, 1, 10)
    report = mirror.sync()
    assert (report.run_id, report.created) == (before, 1)
    assert_mirrored(mirror, study.locations.tracking_uri)


def test_a_run_by_the_clock_of_an_older_version_is_left_and_told(
    study: FakeStudy, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    for order, seconds in enumerate((60, 10)):
        end(study, order, seconds)
    with monkeypatch.context() as older:
        older.setattr("hpo.tracking.mirror.project_study", by_the_clock)
        mirror.sync()
    before = comparable(study.locations.tracking_uri)
    report = Mirror(study.locations, None).sync()
    assert (report.created, report.updated) == (0, 0)
    assert comparable(study.locations.tracking_uri) == before
    (line,) = mirror.check()
    assert line.startswith("study: progress: in the order of the clock in MLflow, as older")
    end(study, 2, 90)
    assert mirror.sync().created == 1
    assert len(by_trial(study.locations.tracking_uri)[None].series("n_complete")) == 3


def by_the_clock(*given: Any) -> Content | None:
    """Play the version that ordered rows by the clock."""
    found = project_study(*given)
    return found and found.as_before()

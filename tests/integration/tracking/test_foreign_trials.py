"""Trials that another program has put into a study are mirrored, and stop no other trial."""

from __future__ import annotations

import optuna
import pytest

from hpo import sync
from hpo.study.records import EPOCHS
from hpo.tracking.background import MirrorThread, bring_into_mlflow
from hpo.tracking.mirror import Mirror, SyncReport
from tests.support.eight_trials import COMPLETE
from tests.support.fake_study import FakeStudy
from tests.support.mirrored import assert_mirrored, mirror, study
from tests.support.mlflow_server import by_trial

__all__ = ["mirror", "study"]

REFUSED = "trial 1 cannot be shown in MLflow: ValueError: zip() argument 2 is shorter"


def test_a_trial_that_reported_at_step_0_only(study: FakeStudy, mirror: Mirror) -> None:
    study.run(COMPLETE)
    trial = study.study.ask()
    trial.report(0.1, 0)
    study.study.tell(trial, 0.2)
    mirror.sync()
    assert_mirrored(mirror, study.locations.tracking_uri)
    ((step, _, value),) = by_trial(study.locations.tracking_uri)[1].series("recall_at_10")
    assert (step, value) == (0, 0.1)
    again = mirror.sync()
    assert (again.created, again.updated) == (0, 0)


def spoil(trial: optuna.Trial) -> None:
    """Store epochs without their times, as hpo never does."""
    trial.set_user_attr(EPOCHS, {"epoch": [1, 2], "time_ms": [5]})


def test_a_trial_that_cannot_be_shown_stops_no_other(
    study: FakeStudy, mirror: Mirror, capsys: pytest.CaptureFixture[str]
) -> None:
    study.run(COMPLETE)
    spoil(study.start())
    study.run(COMPLETE)
    (line,) = mirror.sync().refused
    assert line.startswith(REFUSED)
    assert set(by_trial(study.locations.tracking_uri)) == {None, 0, 2}
    again = mirror.sync()
    assert (again.created, again.updated, again.refused) == (0, 0, (line,))
    stores = ["--storage", study.locations.storage, "--tracking-uri", study.locations.tracking_uri]
    assert sync.main(stores) == 3
    assert capsys.readouterr().err.splitlines() == [line]
    assert sync.main([*stores, "--check"]) == 3
    out = capsys.readouterr().out.splitlines()
    assert (out[0], len(out)) == (line, 2)
    result = MirrorThread(study.locations, study.study.study_name)
    result.start()
    told = result.stop()
    assert isinstance(told, SyncReport)
    assert told.refused == (line,)
    brought = bring_into_mlflow(study.locations, study.study.study_name)
    there = f"in MLflow: folder report of run {told.run_id}"
    assert (brought.line.splitlines(), brought.exit_code) == ([there, line], 3)

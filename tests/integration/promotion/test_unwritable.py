"""MLflow that cannot be written: known before test is read, and else the figures are not lost."""

from __future__ import annotations

import re

import pytest

from hpo.errors import TrackingError
from hpo.promotion import promoter
from hpo.promotion.promote import promote_study
from recsys.artifacts.mlflow_client import open_client
from tests.support.promoting import QUICK, real, runs, versions
from tests.support.real_study import RealStudy

__all__ = ["real"]


def test_mlflow_that_cannot_be_written_is_known_before_test_is_read(
    real: RealStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    real.train("shop", n_trials=1)
    client = open_client(real.locations.tracking_uri)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(type(client), "create_registered_model", refuse)
    monkeypatch.setattr(promoter, "refit_model", None)  # who trains fails
    with pytest.raises(TrackingError, match="Read-only file system"):
        promote_study(real.locations, "shop", settings=QUICK)


def test_figures_that_cannot_be_registered_are_printed(
    real: RealStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    real.train("shop", n_trials=1)
    client = open_client(real.locations.tracking_uri)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(client), "create_model_version", refuse)
    said: list[str] = []
    with pytest.raises(TrackingError, match="No space left on device"):
        promote_study(real.locations, "shop", settings=QUICK, say=said.append)
    assert not versions(client)
    assert re.search(r"\nrecall_at_10 +\d\.\d{6} ", said[-1])
    assert said[-1].endswith("\nthe model was measured, but not registered:")
    assert {run.info.status for run in runs(client)} == {"FAILED"}

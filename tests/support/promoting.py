"""What the tests of promotion share: a study to promote, and a look at the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from hpo.promotion.outcome import Promotion, PromotionSettings
from recsys.artifacts.mlflow_client import experiment_id
from tests.support.real_study import RealStudy

QUICK = PromotionSettings(candidates=1, seeds=1)


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RealStudy:
    study = RealStudy(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", study.locations.tracking_uri)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))  # champions are kept by content
    return study


def versions(client: MlflowClient) -> list[Any]:
    return list(client.search_model_versions("name = 'two-tower'"))


def alias(client: MlflowClient, name: str) -> int:
    return int(client.get_model_version_by_alias("two-tower", name).version)


def all_runs(client: MlflowClient) -> list[Any]:
    return list(client.search_runs([experiment_id(client, "two-tower-hpo")]))


def runs(client: MlflowClient) -> list[Any]:
    return [run for run in all_runs(client) if run.data.tags.get("hpo.kind") == "promotion"]


def standing(promotion: Promotion) -> tuple[int, bool, str, str | None, int | None]:
    """Version, is it new, its role, why it was refused, and who is champion."""
    found = promotion.registered
    assert found is not None
    return found.version, found.is_new, found.role, found.refused, found.champion


def holders(client: MlflowClient) -> dict[str, int]:
    """All aliases of the model."""
    return {
        name: int(version)
        for name, version in client.get_registered_model("two-tower").aliases.items()
    }

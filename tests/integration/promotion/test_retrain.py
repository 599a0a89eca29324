"""Retraining in a real registry: nothing without new data, one version for it, drift told."""

from __future__ import annotations

import dataclasses
import errno
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.config.locations import Locations
from hpo.errors import PromotionError, SettingsError
from hpo.promotion import promoter
from hpo.promotion.outcome import Promotion
from hpo.promotion.promote import promote_study
from hpo.promotion.retrain import UnchangedData, retrain_champion
from hpo.registry.model_store import ModelStore, Reference
from hpo.registry.recipe import Recipe
from hpo.retrain import main as retrain_main
from recsys.artifacts.mlflow_client import open_client
from tests.integration.promotion.test_champions import Bomb
from tests.integration.promotion.test_promotion_killed import copy_of, dying
from tests.support.examples import conveyor
from tests.support.promoting import QUICK, holders, real, runs, standing, versions
from tests.support.real_study import RealStudy, write_csv
from tests.support.registered import Registered, artifacts

__all__ = ["real"]

EASY = {"must_beat": ["popularity"]}
STRICT = {"must_beat": ["champion"], "max_loss": 0.0}


def options(study: RealStudy) -> list[str]:
    return ["--storage", study.locations.storage, "--tracking-uri", study.locations.tracking_uri]


def promoted(study: RealStudy, rules: dict[str, Any]) -> RealStudy:
    """Version 1 is the champion."""
    study.train("shop", n_trials=1, promotion=rules)
    promote_study(
        study.locations, "shop", settings=dataclasses.replace(QUICK, force="the first one")
    )
    return study


def grow(path: Path, n_users: int = 66) -> None:
    """A later snapshot: everybody goes on for three items, six more users have come."""
    write_csv(path, conveyor(n_users=n_users, length=15))


def test_a_lock_that_cannot_be_made_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the real lock, in a folder of which the system says so."""
    folder = tmp_path.as_posix()
    locations = Locations(f"sqlite:///{folder}/optuna.db", f"sqlite:///{folder}/mlflow.db")

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with (
        pytest.raises(PromotionError, match=r"\.locks: Read-only file system; make .* --dry-run"),
        promoter.changing_registry(locations, print),
    ):
        pass


def test_a_lock_in_a_storage_that_is_none_is_told_as_such() -> None:
    with (
        pytest.raises(SettingsError, match="must be an SQLite file or a PostgreSQL database"),
        promoter.changing_registry(Locations("sqlite://", "http://127.0.0.1:9"), print),
    ):
        pass


def test_unchanged_data_trains_nothing(
    real: RealStudy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(real, EASY)
    monkeypatch.setattr(promoter, "refit_model", None)  # who trains fails
    assert retrain_main(options(real)) == 0
    assert "the data has not changed since the champion" in capsys.readouterr().out
    assert isinstance(retrain_champion(real.locations, dry_run=True), UnchangedData)
    assert len(versions(open_client(real.locations.tracking_uri))) == 1


def test_new_data_one_version_and_the_drift(
    real: RealStudy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(real, EASY)
    moved = real.data.with_name("moved.csv")
    real.data.unlink()
    grow(moved)
    client = open_client(real.locations.tracking_uri)
    assert retrain_main([*options(real), "--data", str(moved), "--dry-run"]) == 0
    assert "Nothing was registered (--dry-run)\nnext: the same" in capsys.readouterr().out
    assert len(versions(client)) == 1

    found = retrain_champion(real.locations, data=str(moved))
    assert isinstance(found, Promotion)
    assert standing(found) == (2, True, "champion", None, 2)
    assert holders(client) == {"champion": 2, "previous": 1}
    drift, comparison = found.findings.drift, found.findings.comparison("champion")
    assert drift is not None
    assert comparison is not None
    assert (drift.n_rows, drift.rows_then) == (66 * 15, 60 * 12)
    assert (drift.n_users, drift.unknown_users) == (66, 6)
    assert (drift.n_items, drift.unknown_items) == (30, 0)
    assert (drift.value, drift.n_asked) == (comparison.theirs, comparison.n_users)
    assert found.findings.race is None
    version = client.get_model_version("two-tower", "2")
    for line in drift.lines:
        assert line in version.description
    assert "it does not know 6 of 66 users (9.1%) and 0 of 30 items (0.0%)" in drift.lines[0]
    (run,) = (run for run in runs(client) if run.info.run_id == version.run_id)
    assert run.data.metrics["test_recall_at_10"] == found.test["recall_at_10"]

    store = ModelStore(real.locations.tracking_uri)
    made = [
        Recipe.of_model(store.load(store.resolve(Reference("two-tower", None, n))), n)
        for n in ("1", "2")
    ]
    assert (made[0].config, made[0].epochs) == (made[1].config, made[1].epochs)
    assert made[1].source.data.source == str(moved)
    monkeypatch.setattr(promoter, "refit_model", None)
    assert isinstance(
        retrain_champion(real.locations), UnchangedData
    )  # the new champion knows where its data is


def test_a_retraining_has_the_teachers_of_its_promotion(real: RealStudy) -> None:
    promoted(real, {**EASY, "teachers": 1})
    grow(real.data)
    told: list[str] = []
    retrain_champion(real.locations, dry_run=True, say=told.append)
    first, second, *_ = told
    assert first.endswith("on train + validation, 1 teacher first")
    assert second.startswith("teacher 1 of 1 is trained (")


def test_refused_once_then_forced_without_training(
    real: RealStudy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(real, STRICT)
    grow(real.data)
    assert retrain_main(options(real)) == 1
    assert "refused: its gain over champion (version 1)" in capsys.readouterr().out
    client = open_client(real.locations.tracking_uri)
    assert holders(client) == {"champion": 1, "challenger": 2}
    monkeypatch.setattr(promoter, "refit_model", None)
    assert retrain_main(options(real)) == 1
    assert "was measured before" in capsys.readouterr().out
    assert retrain_main([*options(real), "--force", "it is fresher"]) == 0
    assert holders(client) == {"champion": 2, "previous": 1}
    assert len(versions(client)) == 2


def test_unrelated_data_never_takes_the_alias(real: RealStudy) -> None:
    """Not even where the rules do not ask for a gain over the champion."""
    promoted(real, EASY)
    other = dataclasses.replace(conveyor(), item_ids=tuple(f"x{i}" for i in range(30)))
    write_csv(real.data, other)
    found = retrain_champion(real.locations)
    assert isinstance(found, Promotion)
    reason = "the champion (version 1) cannot be compared: it was trained on other users and items"
    assert standing(found) == (2, True, "challenger", reason, 1)
    assert found.findings.drift is not None
    assert "cannot be measured" in found.findings.drift.lines[1]


def test_no_champion_and_one_without_a_recipe(real: RealStudy, tmp_path: Path) -> None:
    with pytest.raises(PromotionError, match="has no champion to retrain; promote a study first"):
        retrain_champion(real.locations)
    Registered(tmp_path, real.locations.tracking_uri).add()
    with pytest.raises(
        PromotionError, match=r"version 1\) was registered by an older hpo\.promote"
    ):
        retrain_champion(real.locations)


def test_a_planted_pickle_is_never_opened(real: RealStudy, tmp_path: Path) -> None:
    promoted(real, EASY)
    trace = tmp_path / "trace"
    folder = artifacts(open_client(real.locations.tracking_uri), 1)
    for name in ("python_model.pkl", "model/data/model.pth", "recommender/python_model.pkl"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(pickle.dumps(Bomb(trace)))
    grow(real.data)
    assert isinstance(retrain_champion(real.locations), Promotion)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("rules", "force", "wanted"),
    [
        (EASY, None, {"champion": 2, "previous": 1}),
        (STRICT, "because", {"champion": 2, "previous": 1}),
    ],
)
def test_killed_and_run_again(
    real: RealStudy,
    monkeypatch: pytest.MonkeyPatch,
    rules: dict[str, Any],
    force: str | None,
    wanted: dict[str, int],
) -> None:
    """After some calls to MLflow before the version is made, and after each one from there on."""
    promoted(real, rules)
    grow(real.data)
    whole = dying(monkeypatch, 0)
    retrain_champion(copy_of(real.locations, "whole"), force=force)
    names = whole[0].names
    registered = names.index("create_model_version") + 1
    for k in [*np.linspace(1, registered - 1, 3, dtype=int), *range(registered, len(names) + 1)]:
        locations = copy_of(real.locations, f"killed-{k}")
        dying(monkeypatch, int(k))
        with pytest.raises(KeyboardInterrupt):
            retrain_champion(locations, force=force)
        dying(monkeypatch, 0)
        retrain_champion(locations, force=force)
        client = open_client(locations.tracking_uri)
        assert holders(client) == wanted
        assert sorted(int(one.version) for one in versions(client)) == [1, 2]
        assert {run.info.status for run in runs(client)} <= {"FINISHED", "FAILED"}
        run = client.get_run(client.get_model_version("two-tower", "2").run_id)
        assert run.info.status == "FINISHED"
        assert "test_recall_at_10" in run.data.metrics


def test_force_goes_with_no_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        retrain_main(["--force", "x", "--dry-run"])
    assert "--force changes the registry" in capsys.readouterr().err

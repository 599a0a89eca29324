"""Champions in a real registry: followed only by better ones, taken back, never by accident."""

from __future__ import annotations

import dataclasses
import os
import pickle
import re
import threading
from pathlib import Path

import pytest
from mlflow import MlflowClient

from hpo.config.locations import Locations
from hpo.errors import NoStoreError, PromotionError, SettingsError, TrackingError
from hpo.gate import rivals
from hpo.promote import main as promote_main, run_promotion
from hpo.promotion.outcome import PromotionSettings
from hpo.promotion.promote import promote_study, roll_back
from hpo.promotion.registration import read_findings
from hpo.promotion.retrain import retrain_champion
from hpo.study.locks import exclusive_registry
from recsys.artifacts.mlflow_client import open_client
from recsys.models import baselines
from tests.support.examples import conveyor
from tests.support.mlflow_server import eventually
from tests.support.promoting import QUICK, alias, holders, real, runs, standing, versions
from tests.support.real_study import RealStudy
from tests.support.registered import Registered as Registry, artifacts
from tests.support.trained import train

__all__ = ["real"]

WEAK = {"base": {"dim": 2, "lr": 0.01, "epochs": 1}}


def tags(client: MlflowClient, version: int) -> dict[str, str]:
    return dict(client.get_model_version("two-tower", str(version)).tags)


def options(real: RealStudy) -> list[str]:
    return ["--storage", real.locations.storage, "--tracking-uri", real.locations.tracking_uri]


@pytest.mark.slow
def test_champions_follow_one_another_only_if_better(
    real: RealStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole life of a registry: first, better, equal, forced, taken back."""
    real.train("weak", n_trials=1, **WEAK)
    real.train("strong", n_trials=1)
    real.train("equal", n_trials=1, seed=5)
    client = open_client(real.locations.tracking_uri)
    weak = promote_study(real.locations, "weak", settings=QUICK)
    assert standing(weak) == (1, True, "champion", None, 1)

    strong = promote_study(real.locations, "strong", settings=QUICK)
    assert standing(strong) == (2, True, "champion", None, 2)
    comparison = strong.findings.comparison("champion")
    assert comparison is not None
    assert (comparison.name, comparison.need, comparison.n_users) == (
        "champion (version 1)", 0.002, 60,
    )  # fmt: skip
    assert comparison.gain.low > 0.002
    assert (alias(client, "champion"), alias(client, "previous")) == (2, 1)

    capsys.readouterr()
    assert run_promotion(real.locations, "equal", settings=QUICK) == 1
    out = capsys.readouterr().out
    assert "refused: its gain over champion (version 2) is " in out
    assert "version 3, challenger" in out
    assert [alias(client, name) for name in ("champion", "previous", "challenger")] == [2, 1, 3]

    assert run_promotion(real.locations, "equal", settings=QUICK) == 1
    assert "was measured before" in capsys.readouterr().out
    assert len(versions(client)) == 3

    forced = promote_study(
        real.locations, "equal", settings=PromotionSettings(1, 1, force="it is fresher")
    )
    assert forced.registered is not None
    assert (forced.registered.role, forced.registered.forced) == ("champion", "it is fresher")
    assert forced.passed
    assert tags(client, 3)["hpo.forced"] == "it is fresher"
    assert (alias(client, "champion"), alias(client, "previous")) == (3, 2)
    assert holders(client) == {"champion": 3, "previous": 2}

    assert promote_main(["--rollback", *options(real)]) == 0
    assert "version 2 again, no longer version 3" in capsys.readouterr().out
    assert holders(client) == {"champion": 2, "previous": 1}
    assert tags(client, 3)["hpo.rolled_back"] == "to version 2"
    run_promotion(real.locations, "equal", settings=QUICK)
    out = capsys.readouterr().out
    assert "and rolled back since; the champion is version 2\nto make it the champion again" in out
    rehearsed = promote_study(
        real.locations, "strong", settings=dataclasses.replace(QUICK, dry_run=True)
    )
    assert standing(rehearsed) == (2, False, "champion", None, 2)  # not refused beside itself
    again = promote_study(real.locations, "weak", settings=QUICK)
    assert standing(again) == (1, False, "champion", None, 2)
    assert holders(client) == {"champion": 2, "previous": 1}
    assert roll_back(real.locations) == (2, 1)
    assert holders(client) == {"champion": 1}
    with pytest.raises(PromotionError, match="nothing to go back to"):
        roll_back(real.locations)


def test_promotions_into_one_registry_take_turns(real: RealStudy) -> None:
    real.train("shop", n_trials=1)
    client = open_client(real.locations.tracking_uri)
    said: list[str] = []
    waiting = threading.Thread(
        target=promote_study,
        args=(real.locations, "shop"),
        kwargs={"settings": QUICK, "say": said.append},
    )
    elsewhere = f"sqlite:///{real.data.with_name('elsewhere.db').as_posix()}"
    with exclusive_registry(elsewhere, real.locations.tracking_uri, said.append):
        waiting.start()
        eventually(lambda: len(said) > 1)
        assert f"is changed by process {os.getpid()}" in said[1]
        assert not versions(client)
    waiting.join()
    assert holders(client) == {"champion": 1}


def test_a_version_without_its_evidence(real: RealStudy) -> None:
    real.train("shop", n_trials=1)
    promote_study(real.locations, "shop", settings=QUICK)
    (artifacts(open_client(real.locations.tracking_uri), 1) / "gate.json").unlink()
    with pytest.raises(PromotionError, match=r"version 1: its run has no gate\.json, .* delete"):
        promote_study(real.locations, "shop", settings=QUICK)


def test_rollback_to_one_whose_predecessor_was_deleted(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    for version in (1, 2, 3):
        registry.add(**({"hpo.replaced": str(version - 1)} if version > 1 else {}))
    registry.client.set_registered_model_alias("two-tower", "previous", "2")
    registry.client.delete_model_version("two-tower", "1")
    locations = Locations(f"sqlite:///{(tmp_path / 'optuna.db').as_posix()}", registry.uri)
    assert roll_back(locations) == (3, 2)
    assert holders(registry.client) == {"champion": 2}


def test_rollback_without_a_store(tmp_path: Path) -> None:
    locations = Locations(tracking_uri=f"sqlite:///{(tmp_path / 'nope.db').as_posix()}")
    with pytest.raises(NoStoreError, match=r"nope\.db: there is no MLflow store; .*--tracking-uri"):
        roll_back(locations)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_leaves_mlflow_alone(real: RealStudy, capsys: pytest.CaptureFixture[str]) -> None:
    real.train("shop", n_trials=1, promotion={"must_beat": ["itemknn"], "max_model_mb": 0.001})
    client = open_client(real.locations.tracking_uri)
    assert promote_main([*options(real), "--dry-run", "--seeds", "1"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"refused: its gain over itemknn .*; \S+ MB is more than max_model_mb", out)
    assert "Nothing was registered (--dry-run)\nnext: the same command without --dr" in out
    assert not versions(client)
    assert not runs(client)
    absent = real.data.with_name("absent.db")
    locations = dataclasses.replace(real.locations, tracking_uri=f"sqlite:///{absent.as_posix()}")
    assert (
        promote_study(locations, "shop", settings=PromotionSettings(1, 1, dry_run=True)).registered
        is None
    )
    assert not absent.exists()


def test_a_dry_run_of_what_is_registered_writes_nothing(
    real: RealStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    real.train("shop", n_trials=1, promotion={"must_beat": ["popularity"], "max_model_mb": 0.001})
    first = promote_study(real.locations, "shop", settings=QUICK)
    for write in ("log_batch", "log_metric", "set_model_version_tag", "set_registered_model_alias"):
        monkeypatch.delattr(MlflowClient, write)
    again = promote_study(real.locations, "shop", settings=dataclasses.replace(QUICK, dry_run=True))
    assert again.findings == first.findings
    assert again.registered is not None
    assert (again.registered.is_new, again.registered.role) == (False, "challenger")
    with pytest.raises(SettingsError, match="force changes the registry, a dry run does not"):
        dataclasses.replace(QUICK, dry_run=True, force="just looking")
    with pytest.raises(SettingsError, match="force changes the registry, a dry run does not"):
        retrain_champion(real.locations, dry_run=True, force="just looking")


def test_a_version_that_was_taken_back_before_it_was_settled_stays_back(
    real: RealStudy, tmp_path: Path
) -> None:
    """A promotion that was killed right after it had set the alias."""
    registry = Registry(tmp_path, real.locations.tracking_uri)
    registry.add(**{"hpo.settled": "champion"})
    real.train("shop", n_trials=1, promotion={"must_beat": ["popularity"]})
    found = promote_study(real.locations, "shop", settings=QUICK).registered
    assert found is not None and found.role == "champion"
    client = registry.client
    client.delete_model_version_tag("two-tower", "2", "hpo.settled")
    assert roll_back(real.locations) == (2, 1)
    again = promote_study(real.locations, "shop", settings=QUICK).registered
    assert again is not None
    assert (again.version, again.champion, again.rolled_back) == (2, 1, True)
    assert holders(client) == {"champion": 1}
    forced = promote_study(real.locations, "shop", settings=dataclasses.replace(QUICK, force="yes"))
    assert forced.registered is not None
    assert (forced.registered.champion, forced.registered.rolled_back) == (2, False)


def test_it_is_said_how_often_the_test_rows_were_looked_at(
    real: RealStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    client = open_client(real.locations.tracking_uri)
    counts = ("no version in the registry was", "1 version in the registry was")
    for before, told in enumerate((*counts, "2 versions in the registry were")):
        real.train(f"s{before}", n_trials=1, seed=before)
        run_promotion(real.locations, f"s{before}", settings=QUICK)
        line = f"{told} measured on these test rows before"
        line += "; the intervals do not account for that" if before else ""
        version = client.get_model_version("two-tower", str(before + 1))
        assert f"\n{line}\n" in capsys.readouterr().out
        assert f"\n{line[0].upper()}{line[1:]}.\n" in version.description
        assert read_findings(client, version).measured_before == before


def test_ease_is_refused_before_anything_is_trained(
    real: RealStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    real.train("shop", n_trials=1, promotion={"must_beat": ["ease"]})
    monkeypatch.setattr(rivals, "MAX_ITEMS", 5)
    monkeypatch.setattr(baselines, "MAX_ITEMS", 5)
    said: list[str] = []
    with pytest.raises(SettingsError, match="'ease' cannot be asked of 30 items, only of 5"):
        promote_study(real.locations, "shop", settings=QUICK, say=said.append)
    assert not said
    forced = promote_study(real.locations, "shop", settings=PromotionSettings(1, 1, force="known"))
    assert "ease stands in must_beat and could not be measured" in (forced.findings.reason or "")


def test_a_champion_that_was_tampered_with_is_no_champion_to_compare_with(
    real: RealStudy, tmp_path: Path
) -> None:
    real.train("shop", n_trials=1)
    others = Registry(tmp_path, real.locations.tracking_uri)
    others.add()
    weights = others.artifacts(1) / "weights.safetensors"
    weights.write_bytes(b"not what was registered")
    found = promote_study(real.locations, "shop", settings=PromotionSettings(1, 1, dry_run=True))
    reason = "the champion (version 1) cannot be compared: two-tower version 1, run"
    assert (found.findings.reason or "").startswith(reason)
    assert "its sha256 differs" in (found.findings.reason or "")
    assert not found.passed


class Bomb:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.trace,)


def test_a_planted_pickle_is_never_opened(real: RealStudy, tmp_path: Path) -> None:
    real.train("shop", n_trials=1)
    others = Registry(tmp_path, real.locations.tracking_uri)
    others.add()
    trace, payload = tmp_path / "trace", pickle.dumps(Bomb(tmp_path / "trace"))
    for name in ("python_model.pkl", "model/data/model.pth", "recommender/python_model.pkl"):
        path = others.artifacts(1) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(payload)
    found = promote_study(real.locations, "shop", settings=QUICK)
    assert found.findings.comparison("champion") is not None
    assert not trace.exists()
    pickle.loads(payload)
    assert trace.exists()


def test_a_champion_whose_files_are_lost_is_replaced_by_force_only(
    real: RealStudy, tmp_path: Path
) -> None:
    real.train("shop", n_trials=1)
    others = Registry(tmp_path, real.locations.tracking_uri)
    others.add()
    (others.artifacts(1) / "weights.safetensors").unlink()
    with pytest.raises(TrackingError, match=r"\(version 1\) cannot be fetched: .*--force REASON"):
        promote_study(real.locations, "shop", settings=QUICK)
    found = promote_study(
        real.locations, "shop", settings=dataclasses.replace(QUICK, force="lost")
    ).registered
    assert found is not None
    assert (found.version, found.role, found.forced) == (2, "champion", "lost")


def test_a_champion_of_other_data_is_not_replaced(real: RealStudy, tmp_path: Path) -> None:
    real.train("shop", n_trials=1)
    others = Registry(tmp_path, real.locations.tracking_uri)
    data = conveyor()
    others.add(train(dataclasses.replace(data, item_ids=tuple(f"x{i}" for i in range(30)))))
    found = promote_study(real.locations, "shop", settings=QUICK)
    assert found.registered is not None
    assert (found.registered.role, found.registered.champion) == ("challenger", 1)
    assert found.registered.refused == (
        "the champion (version 1) cannot be compared: it was trained on other users and items"
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--candidates", "0"], "'0': give a whole number in 1..100"),
        (["--seeds", "many"], "'many': give a whole number in 1..100"),
        (["--force", " "], "0 characters: give a reason of 1..500"),
        (["--force", "x", "--rollback"], "--rollback goes with neither"),
        (["--force", "x", "--dry-run"], "--force changes the registry"),
    ],
)
def test_options_that_make_no_sense(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        promote_main(arguments)
    assert expected in capsys.readouterr().err

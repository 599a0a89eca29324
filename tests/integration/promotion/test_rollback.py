"""Rollbacks, and aliases that were set elsewhere: by hand, or by a promotion on another machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hpo.config.locations import Locations
from hpo.errors import PromotionError
from hpo.promote import main as promote_main, run_promotion
from hpo.promotion.promote import promote_study, roll_back
from hpo.registry import versions as registry
from recsys.artifacts.mlflow_client import open_client
from tests.support.promoting import QUICK, holders, real
from tests.support.real_study import RealStudy
from tests.support.registered import Registered as Registry

__all__ = ["real"]

MODEL = "two-tower"


def registry_of(folder: Path, *tags: dict[str, str], **aliases: str) -> tuple[Registry, Locations]:
    """Versions with tags, and aliases."""
    made = Registry(folder)
    for each in tags:
        made.add(**each)
    for name, version in aliases.items():
        made.client.set_registered_model_alias(MODEL, name, version)
    return made, Locations(f"sqlite:///{(folder / 'optuna.db').as_posix()}", made.uri)


def replaced(version: int) -> dict[str, str]:
    return {"hpo.replaced": str(version)}


def test_a_deleted_champion_is_followed_by_the_previous_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, locations = registry_of(tmp_path, {}, replaced(1), replaced(2), previous="2")
    made.client.delete_model_version(MODEL, "3")
    assert holders(made.client) == {"previous": 2}, "MLflow takes the alias with the version"
    call = ["--storage", locations.storage, "--tracking-uri", locations.tracking_uri]
    assert promote_main(["--rollback", *call]) == 0
    assert f"champion of {MODEL} is version 2 again, no version was" in capsys.readouterr().out
    assert holders(made.client) == {"champion": 2, "previous": 1}


def test_a_champion_after_a_deleted_one_is_taken_back(tmp_path: Path) -> None:
    """As an earlier version registered it: without the version that it replaced."""
    settled = {"hpo.settled": "champion"}
    made, locations = registry_of(tmp_path, {}, replaced(1), settled, previous="2")
    assert roll_back(locations) == (3, 2)
    assert holders(made.client) == {"champion": 2, "previous": 1}


@pytest.mark.parametrize(
    ("tags", "told"), [({}, "replaced no version"), (replaced(1), "replaced version 1")]
)
def test_a_champion_that_was_set_by_hand_is_not_taken_back(
    tmp_path: Path, tags: dict[str, str], told: str
) -> None:
    made, locations = registry_of(tmp_path, {}, replaced(1), tags, previous="2")
    with pytest.raises(PromotionError, match=rf"version 3, {told} .* is on version 2: an alias"):
        roll_back(locations)
    assert holders(made.client) == {"champion": 3, "previous": 2}
    assert "hpo.rolled_back" not in made.client.get_model_version(MODEL, "3").tags


def test_repeated_rollbacks_return_to_nothing_that_was_taken_back(tmp_path: Path) -> None:
    """Versions 1 and 2 were forced in turn: each has replaced the other."""
    made, locations = registry_of(tmp_path, replaced(2), replaced(1), previous="1")
    assert roll_back(locations) == (2, 1)
    assert holders(made.client) == {"champion": 1}
    with pytest.raises(PromotionError, match="nothing to go back to"):
        roll_back(locations)


def test_a_rollback_passes_over_what_was_taken_back(tmp_path: Path) -> None:
    taken = {**replaced(1), "hpo.rolled_back": "to version 1"}
    made, locations = registry_of(tmp_path, {}, taken, replaced(2), replaced(3), previous="3")
    assert roll_back(locations) == (4, 3)
    assert holders(made.client) == {"champion": 3, "previous": 1}
    assert roll_back(locations) == (3, 1)
    assert holders(made.client) == {"champion": 1}


def test_who_is_champion_again_is_no_longer_taken_back(tmp_path: Path) -> None:
    back = {"hpo.rolled_back": "to version 7"}  # the alias was set by hand since
    made, locations = registry_of(tmp_path, back, replaced(1), previous="1")
    assert roll_back(locations) == (2, 1)
    assert "hpo.rolled_back" not in made.client.get_model_version(MODEL, "1").tags


def test_a_champion_of_another_machine_is_not_replaced_unseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its promoter holds the lock of another storage, and is between our look and our write."""
    compared = {"hpo.compared_with": "1"}
    made, _ = registry_of(tmp_path, {}, {}, compared, champion="1")
    client, set_alias = made.client, made.client.set_registered_model_alias

    def overtaken(model: str, alias: str, version: str) -> None:
        set_alias(model, alias, version)
        if alias == "previous":
            set_alias(model, "champion", "2")

    monkeypatch.setattr(client, "set_registered_model_alias", overtaken)
    registry.apply_outcome(client, client.get_model_version(MODEL, "3"), None)
    assert holders(client) == {"champion": 2, "previous": 1, "challenger": 3}
    tags = client.get_model_version(MODEL, "3").tags
    assert tags["hpo.refused"] == (
        "it was compared with version 1, and version 2 is the champion by now"
    )
    assert tags["hpo.settled"] == "challenger"


def test_a_challenger_that_was_made_champion_by_hand_is_told_as_champion(
    real: RealStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    real.train("shop", n_trials=1, promotion={"must_beat": ["popularity"], "max_model_mb": 0.001})
    found = promote_study(real.locations, "shop", settings=QUICK)
    assert not found.passed
    client = open_client(real.locations.tracking_uri)
    client.set_registered_model_alias(MODEL, "champion", "1")
    capsys.readouterr()
    assert run_promotion(real.locations, "shop", settings=QUICK) == 0
    out = capsys.readouterr().out
    assert re.search(r"version 1, champion, whose alias was set by hand \(run ", out)
    assert "--force" not in out
    assert "serve it:" in out

"""Models of several names in one registry: each name has a champion of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from hpo.config.toml_file import load_study_config
from hpo.errors import PromotionError, SettingsError
from hpo.promote import main as promote_main
from hpo.promotion.outcome import PromotionSettings
from hpo.promotion.promote import promote_study
from hpo.promotion.retrain import UnchangedData, retrain_champion
from hpo.registry.versions import alias_holder
from hpo.retrain import main as retrain_main
from recsys.artifacts.mlflow_client import open_client
from tests.support.promoting import QUICK, real
from tests.support.real_study import RULES, RealStudy

__all__ = ["real"]


@pytest.mark.slow
def test_each_name_has_a_champion_of_its_own(
    real: RealStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    real.train("books", n_trials=1)
    real.train("films", n_trials=1, seed=5, promotion={**RULES, "model": "films"})
    client = open_client(real.locations.tracking_uri)
    place = ["--storage", real.locations.storage, "--tracking-uri", real.locations.tracking_uri]
    promote_study(real.locations, "books", settings=QUICK)

    call = ["--study-name", "films", "--candidates", "1", "--seeds", "1", *place]
    assert promote_main(call) == 0
    out = capsys.readouterr().out
    assert "is films version 1, champion" in out
    assert "1 version in the registry was measured on these test rows before" in out
    assert "--model models:/films@champion" in out
    assert alias_holder(client, "two-tower", "champion") == "1"

    assert promote_main([*call, "--model", "films-2"]) == 0
    assert "is films-2 version 1, champion" in capsys.readouterr().out
    assert {model.name for model in client.search_registered_models()} == {
        "two-tower", "films", "films-2",
    }  # fmt: skip

    assert isinstance(retrain_champion(real.locations, model="films"), UnchangedData)
    with pytest.raises(PromotionError, match=r"^music has no champion to retrain"):
        retrain_main(["--model", "music", *place])
    with pytest.raises(PromotionError, match=r"^no version of films has the alias 'previous'"):
        promote_main(["--rollback", "--model", "films", *place])


@pytest.mark.parametrize("name", ["a/b", "a@b", "", "-a", "a" * 101, "a:b"])
def test_a_name_that_no_address_can_hold_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        promote_main([f"--model={name}"])
    assert "must be a name such as two-tower" in capsys.readouterr().err
    file = tmp_path / "study.toml"
    file.write_text(f"[promotion]\nmodel = '{name}'\n")
    with pytest.raises(SettingsError, match=r"promotion\.model: must be a name such as two-tower"):
        load_study_config(file, {})


@pytest.mark.slow
def test_the_order_wins_over_the_study_and_the_message_keeps_it(
    real: RealStudy, tmp_path: Path
) -> None:
    told = tmp_path / "told.json"
    tell = {
        "command": [
            sys.executable,
            "-c",
            f"import shutil, sys; shutil.copyfileobj(sys.stdin, open({str(told)!r}, 'w'))",
        ]
    }
    real.train("books", n_trials=1, promotion={**RULES, "model": "books"}, notify=tell)
    found = promote_study(
        real.locations, "books", settings=PromotionSettings(1, 1, model="other")
    ).registered
    assert found is not None
    assert (found.model, found.role) == ("other", "champion")
    message = json.loads(told.read_text())
    assert message["version"]["model"] == "other"
    assert message["next"].endswith("--model models:/other@champion")


def test_a_rollback_is_of_the_studys_model(
    real: RealStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    real.train("books", n_trials=1, promotion={"model": "books"})
    place = ["--storage", real.locations.storage, "--tracking-uri", real.locations.tracking_uri]
    with pytest.raises(PromotionError, match=r"^no version of books has the alias"):
        promote_main(["--rollback", "--study-name", "books", *place])
    with pytest.raises(PromotionError, match=r"^no version of two-tower has the alias"):
        promote_main(["--rollback", *place])

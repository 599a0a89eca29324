"""A missing MLflow store is told alike by every command that needs one, and is not made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hpo import promote, recommend, retrain, serve, sync
from hpo.errors import HpoError, NoStoreError
from tests.support.fake_study import FakeStudy, locations
from tests.support.mlflow_store import fresh_store

COMMANDS = {
    "retrain": (retrain.main, []),
    "retrain --dry-run": (retrain.main, ["--dry-run"]),
    "promote --rollback": (promote.main, ["--rollback"]),
    "recommend": (recommend.main, ["--users", "all", "--out", "top.csv"]),
    "serve": (serve.main, ["--port", "0"]),
    "sync --check": (sync.main, ["--check"]),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_names_the_store_and_how_to_make_it(folder: Path, name: str) -> None:
    main, options = COMMANDS[name]
    path = folder / "none" / "mlflow.db"
    options = [*options, "--tracking-uri", f"sqlite:///{path.as_posix()}"]
    if name.startswith("sync"):
        options += ["--storage", FakeStudy(locations(folder)).locations.storage]
    message = (
        f"{path}: there is no MLflow store; python -m hpo.run makes it, python -m hpo.promote "
        "registers the first model in it; or say with --tracking-uri where it is"
    )
    with pytest.raises(NoStoreError, match=f"^{re.escape(message)}$") as error:
        main(options)
    assert error.value.exit_code == 2
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("retrain", "two-tower has no champion to retrain"),
        ("promote --rollback", "no version of two-tower has the alias 'previous'"),
        ("recommend", "models:/two-tower@champion: not in MLflow at"),
        ("serve", "models:/two-tower@champion: not in MLflow at"),
    ],
)
def test_a_store_without_a_champion_is_another_matter(
    folder: Path, name: str, message: str
) -> None:
    main, options = COMMANDS[name]
    with pytest.raises(HpoError, match=message) as error:
        main([*options, "--tracking-uri", fresh_store(folder)])
    assert error.value.exit_code == 1


def test_a_plain_sync_makes_the_store(folder: Path) -> None:
    study = FakeStudy(locations(folder), n_trials=1)
    study.run(TrialState.COMPLETE)
    storage, path = study.locations.storage, folder / "none" / "mlflow.db"
    uri = f"sqlite:///{path.as_posix()}"
    assert sync.main(["--storage", storage, "--tracking-uri", uri]) == 0
    assert path.exists()
    assert sync.main(["--storage", storage, "--tracking-uri", uri, "--check"]) == 0

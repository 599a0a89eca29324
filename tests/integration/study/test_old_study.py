"""Today's commands on a study, an MLflow store and a version that commit be9fb88 made.

tests/data/README.md says how they were made.
"""

from __future__ import annotations

import csv
import tarfile
from pathlib import Path

import pytest
from mlflow import MlflowClient

from hpo import promote, recommend, replay, sync
from hpo.registry.model_store import ModelStore, Reference
from hpo.serving.live_model import LiveModel
from recsys.artifacts.mlflow_client import open_client
from tests.data.make_old_study import ARCHIVE, PLACEHOLDER, move
from tests.support.commands import run, study_in
from tests.support.promoting import all_runs, holders, runs, versions
from tests.support.registered import Client as HttpClient, running

N_OLD, N_NEW = 5, 2
STUDY_OPTIONS = (
    "--study", "tiny.toml", "--data", "interactions.csv", "--workers", 1, "--threads", 1,
    "--device", "cpu", "--seed", 3, "--no-report",
)  # fmt: skip


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the old study, the current one; commands find it by their defaults."""
    folder = tmp_path / "old"
    folder.mkdir()
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    for database in folder.rglob("*.db"):
        move(database, PLACEHOLDER, folder.as_posix())
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store(folder))  # MLflow keeps stores by address
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    return folder


def store(folder: Path) -> str:
    return f"sqlite:///{(folder / 'studies/mlflow.db').as_posix()}"


def trial_runs(client: MlflowClient) -> list[str]:
    found = all_runs(client)
    return [run.info.run_id for run in found if run.data.tags.get("hpo.kind") == "trial"]


def test_its_trials_are_replayed_bit_for_bit(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (0, 3):
        assert replay.main(["--trial", str(number)]) == 0
        assert "4 epochs, bit for bit" in capsys.readouterr().out


@pytest.mark.slow
def test_it_goes_on_and_mlflow_follows(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {trial.number: (trial.params, trial.value) for trial in study_in(old).trials}
    assert len(before) == N_OLD
    client = open_client(store(old))
    old_runs = {run.info.run_id for run in all_runs(client)}
    code, out, err = run("hpo.run", *STUDY_OPTIONS, "--n-trials", N_OLD + N_NEW, cwd=old)
    assert code == 0, err
    assert f"continues after {N_OLD} of {N_OLD + N_NEW} trials" in out + err
    trials = study_in(old).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * (N_OLD + N_NEW)
    assert {t.number: (t.params, t.value) for t in trials[:N_OLD]} == before
    assert old_runs < {run.info.run_id for run in all_runs(client)}, "none was made anew"
    assert len(trial_runs(client)) == N_OLD + N_NEW

    assert sync.main([]) == 0
    capsys.readouterr()
    assert sync.main(["--check"]) == 3
    *differences, total = capsys.readouterr().out.splitlines()
    assert f"{N_OLD} differences" in total
    assert [line.split(":")[0] for line in differences] == [f"trial {n}" for n in range(N_OLD)]
    assert all("where older versions put them; step 0 in the" in line for line in differences)

    for run_id in trial_runs(client):  # what that message and the changelog say to do
        client.delete_run(run_id)
    assert sync.main([]) == 0
    assert len(trial_runs(client)) == N_OLD + N_NEW
    assert sync.main(["--check"]) == 0


def test_its_promotion_is_found_done(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client = open_client(store(old))
    (version,), aliases = versions(client), holders(client)
    assert aliases["champion"] == 1
    assert promote.main(["--candidates", "1", "--seeds", "1"]) == 0
    assert "was measured before, so nothing was trained: it is two-tower version 1" in (
        capsys.readouterr().out
    )
    (again,) = versions(client)
    assert (again.run_id, again.source, again.tags) == (
        version.run_id,
        version.source,
        version.tags,
    )
    assert holders(client) == aliases
    assert len(runs(client)) == 1


@pytest.mark.slow
def test_a_new_study_meets_the_old_champion_at_the_gate(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The champion has a test recall@10 of 1.0, so nothing can beat it."""
    options = (*STUDY_OPTIONS, "--study-name", "second", "--n-trials", 1, "--seed", 4)
    code, _, err = run("hpo.run", *options, cwd=old)
    assert code == 0, err
    call = ["--study-name", "second", "--candidates", "1", "--seeds", "1"]
    assert promote.main(call) == 1
    assert "champion (version 1)" in capsys.readouterr().out
    client = open_client(store(old))
    assert sorted(int(version.version) for version in versions(client)) == [1, 2]
    assert holders(client) == {"champion": 1, "challenger": 2}


def test_its_version_answers(old: Path) -> None:
    """User u takes items u, u + 1, ... in order, so the next item is certain."""
    assert recommend.main(["--users", "all", "--out", "top.csv", "--k", "3"]) == 0
    with (old / "top.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["user_id"] for row in rows}) == 60
    items = [row["item_id"] for row in rows if row["user_id"] == "u0"]
    assert "i12" in items

    models = ModelStore(store(old), old.parent / "store")
    live = LiveModel(models, Reference.parse("models:/two-tower@champion"), as_measured=False)
    with running(live) as port:
        client = HttpClient(port)
        assert client.items({"user_id": "u0", "k": 3}) == items
        _, about = client.get("/ready")
    assert about["version"] == "1"

"""A running study is watched, parked and deleted by other processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import (
    finish,
    in_mid_training,
    run,
    shop,
    start,
    storage_in,
    study_file,
    study_in,
)


@pytest.mark.new_interpreters
def test_a_running_study_is_seen_and_parked_from_outside(tmp_path: Path) -> None:
    shop(tmp_path)
    study = study_file(tmp_path, epochs=5000, n_trials=3)
    words = ["--data", "interactions.csv", "--study", study, "--no-tracking", "--workers", "1"]
    process = start("hpo.run", *words, cwd=tmp_path)
    with in_mid_training(process, storage_in(tmp_path)):
        code, out, err = run("hpo", "status", "--json", cwd=tmp_path)
        assert code == 0, err
        assert json.loads(out)["state"] == "running"
        code, _, err = run("hpo", "delete", "--yes", cwd=tmp_path)
        assert code == 2
        assert "stop it first: python -m hpo stop --study-name tiny-interactions" in err
    code, out, err = run("hpo", "stop", cwd=tmp_path)
    assert code == 0, err
    assert f"asked process {process.pid} on " in out
    assert "has stopped; the command that started it goes on with it" in out
    code, out, err = finish(process)
    assert code == 0, err
    assert "stopped: requested. Run the same command again to go on." in out
    assert "report:" not in out
    assert [t.state.name for t in study_in(tmp_path).trials if t.intermediate_values] == ["WAITING"]
    assert list((tmp_path / "studies/parked").rglob("trial-*"))

    code, out, err = run("hpo", "delete", "--yes", cwd=tmp_path)
    assert code == 0, err
    assert not list((tmp_path / "studies/parked").rglob("trial-*"))
    assert run("hpo", "list", cwd=tmp_path)[1] == "0 studies in sqlite:///studies/optuna.db\n"

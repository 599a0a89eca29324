"""A study that leaves its machine: parked in one folder, it goes on in another from a bucket."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from hpo.study.lifecycle import load_named
from hpo.study.storage import existing_storage
from tests.support.commands import finish, in_mid_training, run, shop, start, storage_in, study_file
from tests.support.object_store import ObjectStore, moto_server, object_store
from tests.support.postgresql import postgresql_url
from tests.support.tcp_proxy import before_port

__all__ = ["moto_server", "object_store", "postgresql_url"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]
N_EPOCHS = 300
STORE = "s3://team/studies"


def results(storage: str) -> list[tuple[Any, ...]]:
    trials = load_named(existing_storage(storage), None).trials
    return [(t.number, t.state, t.params, t.values, t.intermediate_values) for t in trials]


def call_in(folder: Path) -> list[object]:
    toml = study_file(folder, epochs=N_EPOCHS, n_trials=2)
    return ["--data", shop(folder), "--study", toml, "--workers", 1, "--no-tracking"]


def machine(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """Results of the study if nothing happens."""
    alone = tmp_path_factory.mktemp("alone")
    code, out, err = run("hpo.run", *call_in(alone), "--no-report", cwd=alone)
    assert code == 0, out + err
    return results(storage_in(alone))


def park(call: list[object], storage: str, cwd: Path, **env: str) -> None:
    process = start("hpo.run", *call, cwd=cwd, **env)
    with in_mid_training(process, storage):
        process.send_signal(signal.SIGTERM)
    code, out, err = finish(process)
    assert code == 143, out + err
    assert "artifact store" not in out


def test_a_study_goes_on_on_another_machine(
    tmp_path: Path,
    postgresql_url: str,
    object_store: ObjectStore,
    expected: list[tuple[Any, ...]],
) -> None:
    one, two, three = (machine(tmp_path, name) for name in ("one", "two", "three"))
    env = {"HPO_STORAGE": postgresql_url, "HPO_ARTIFACTS": STORE}
    call = call_in(tmp_path)
    park(call, postgresql_url, one, **env)
    assert object_store.names() == ["trial-0.safetensors"]

    code, out, err = run("hpo.run", *call, cwd=two, **env)
    assert code == 0, out + err
    assert "starts again at its first epoch" not in out
    assert results(postgresql_url) == expected
    assert "Traceback" not in out + err
    assert {"report.html", "summary.md", "model_meta.json"} <= {*object_store.names()}
    assert "trial-0.safetensors" not in object_store.names()

    before = object_store.stored()
    code, out, err = run("hpo.sync", cwd=three, **env)
    assert code == 0, out + err
    assert "not in MLflow" not in out, "the files come from the bucket"
    code, out, err = run("hpo.report", cwd=three, **env)
    assert code == 0, out + err
    model = [key for key in before if "report" not in key and not key.endswith((".png", ".md"))]
    assert {*model} <= {*object_store.stored()}, "the model is the same, bit for bit"
    code, out, err = run("hpo.promote", "--force", "a test", cwd=three, **env)
    assert code == 0, out + err
    assert "hush-hush" not in out + err


def test_a_store_that_is_away_costs_no_trial(
    tmp_path: Path,
    object_store: ObjectStore,
    expected: list[tuple[Any, ...]],
) -> None:
    one, call = machine(tmp_path, "one"), [*call_in(tmp_path), "--artifacts", STORE]
    proxy = before_port(object_store.port)
    env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}", "AWS_MAX_ATTEMPTS": "2"}
    park(call, storage_in(one), one, **env)
    shutil.rmtree(one / "studies/parked")
    proxy.cut()
    code, out, err = run("hpo.run", *call, cwd=one, **env)
    assert code == 3, out + err
    assert f"the snapshot of trial 0 cannot be fetched from {STORE}: " in out
    assert "trial 0 was parked and starts again at its first epoch" in out
    assert "the artifact store is incomplete: " in out
    assert "Traceback" not in out + err
    assert results(storage_in(one)) == expected

    code, out, err = run("hpo.sync", "--artifacts", STORE, cwd=one, **env)
    assert code == 3, out + err
    proxy.mend()
    code, out, err = run("hpo.sync", "--artifacts", STORE, cwd=one, **env)
    assert code == 0, out + err
    assert {"report.html", "model_meta.json"} <= {*object_store.names()}
    assert "trial-0.safetensors" not in object_store.names()
    code, out, err = run("hpo", "delete", "--yes", "--artifacts", STORE, cwd=one, **env)
    assert code == 0, out + err
    assert object_store.stored() == []
    proxy.close()

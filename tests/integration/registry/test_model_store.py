"""Registered models come out as they went in, or not at all; nothing among them can run."""

from __future__ import annotations

import os
import pickle
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.exceptions import MlflowException

from hpo.errors import NoStoreError, SettingsError
from hpo.registry.downloads import ModelUnavailable
from hpo.registry.model_store import (
    ModelRefused,
    ModelStore,
    Reference,
)
from recsys.artifacts.checkpoint import stored_files
from recsys.errors import TrackingError
from tests.support.mlflow_server import TrackingServer
from tests.support.mlflow_store import fresh_store
from tests.support.registered import Registered, another
from tests.support.trained import trained

CHAMPION = Reference.parse("models:/two-tower@champion")


@pytest.fixture
def registered(tmp_path: Path) -> Registered:
    found = Registered(tmp_path)
    found.add()
    return found


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._path),)


@pytest.mark.parametrize("text", ["models:/two-tower@champion", "models:/two-tower/1"])
def test_a_version_comes_back_bit_for_bit(registered: Registered, text: str) -> None:
    version = registered.store.resolve(Reference.parse(text))
    stored = registered.store.load(version)
    assert str(Reference.parse(text)) == text
    assert str(version.version) == "1"
    model = trained()
    assert stored.history.fingerprint == model.parts.interactions.fingerprint
    assert stored.measured.fingerprint == model.history.fingerprint
    for name, value in model.model.state_dict().items():
        torch.testing.assert_close(stored.model.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize(
    "text",
    [
        *("", "two:tower", "models:/two-tower", "models:/a/0", "models:/a/b/1", "runs:/1/model"),
        *("models:/it's@champion", 'models:/"a"/1', "models:/a`b@champion"),
    ],
)
def test_other_references_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="models:/NAME@ALIAS or models:/NAME/VERSION"):
        Reference.parse(text)


@pytest.mark.parametrize(
    "text", ["models:/two-tower@other", "models:/x@champion", "models:/two-tower/7", "models:/x/1"]
)
def test_what_is_not_there(registered: Registered, text: str) -> None:
    with pytest.raises(ModelRefused, match=r"not in MLflow at .*hpo\.promote"):
        registered.store.resolve(Reference.parse(text))


def test_a_registry_without_a_champion_names_the_newest_version(registered: Registered) -> None:
    registered.add(another())
    registered.client.delete_registered_model_alias("two-tower", "champion")
    with pytest.raises(ModelRefused, match=r"2 versions .* none of them is the champion") as caught:
        registered.store.resolve(CHAMPION)
    assert "--model models:/two-tower/2" in str(caught.value)
    assert "hpo.promote" in str(caught.value) and "--force" in str(caught.value)


def test_no_store_is_made(tmp_path: Path) -> None:
    with pytest.raises(NoStoreError, match="there is no MLflow store"):
        ModelStore(f"sqlite:///{tmp_path.as_posix()}/none.db", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_planted_file_is_neither_read_nor_run(registered: Registered, tmp_path: Path) -> None:
    artifacts, traces = registered.artifacts(1), tmp_path / "executed"
    bomb = pickle.dumps(Bomb(traces))
    for name in ("model.pkl", "python_model.pkl", "history.pt", "extra.safetensors"):
        (artifacts / name).write_bytes(bomb)
    for name in ("recsys.py", "checkpoint.py", "pyfunc_model.py", "sitecustomize.py"):
        (artifacts / name).write_text(f"import os; os.mkdir({str(traces)!r})")
    version = registered.store.resolve(CHAMPION)
    folder = registered.store.fetch(version)
    registered.store.load(version)
    assert not traces.exists()
    assert {path.name for path in folder.iterdir()} == stored_files(folder).keys()
    pickle.loads(bomb)
    assert traces.exists()  # the bomb is live


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "history.safetensors", "model_meta.json", "user_vecs.npy"]
)
def test_a_file_that_was_replaced_is_refused(
    registered: Registered, tmp_path: Path, name: str
) -> None:
    traces = tmp_path / "executed"
    (registered.artifacts(1) / name).write_bytes(pickle.dumps(Bomb(traces)))
    version = registered.store.resolve(CHAMPION)
    with pytest.raises(ModelRefused, match=rf"version 1, run .*: {name} is not the file that was"):
        registered.store.load(version)
    assert not traces.exists()
    assert not list((tmp_path / "cache").iterdir())


def test_a_consistent_forgery_is_refused_by_the_tags(registered: Registered) -> None:
    """All files of another model, whose own meta agrees with them."""
    registered.add(another())
    shutil.copytree(registered.artifacts(2), registered.artifacts(1), dirs_exist_ok=True)
    registered.point(1)
    with pytest.raises(ModelRefused, match="is not the file that was registered"):
        registered.store.load(registered.store.resolve(CHAMPION))


def test_one_tag_vouches_for_all_files(registered: Registered) -> None:
    tags = registered.store.resolve(CHAMPION).tags
    assert [tag for tag in tags if tag.startswith("sha256")] == ["sha256.model_meta.json"]


@pytest.mark.parametrize("name", ["weights.safetensors", "model_meta.json"])
def test_a_version_with_a_tag_for_each_file_is_still_verified(tmp_path: Path, name: str) -> None:
    registered = Registered(tmp_path)
    registered.add(old=True)
    version = registered.store.resolve(CHAMPION)
    assert "sha256.weights.safetensors" in version.tags
    folder = registered.store.fetch(version)
    registered.store.load(version)
    shutil.rmtree(folder)
    (registered.artifacts(1) / name).write_bytes(b"other")
    with pytest.raises(ModelRefused, match=f"{name} is not the file that was registered"):
        registered.store.load(version)


def test_a_missing_file_is_refused(registered: Registered) -> None:
    (registered.artifacts(1) / "measured.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match=r"does not have measured\.safetensors any more"):
        registered.store.load(registered.store.resolve(CHAMPION))


@pytest.mark.slow
def test_a_file_that_is_missing_behind_a_server_is_no_outage(tmp_path: Path) -> None:
    fresh_store(tmp_path)
    server = TrackingServer(tmp_path / "mlflow.db")
    server.start()
    try:
        registered = Registered(tmp_path, server.uri)
        registered.add()
        (lost,) = (
            path
            for path in tmp_path.rglob("measured.safetensors")
            if path.parent != tmp_path / "model"
        )
        lost.unlink()
        with pytest.raises(ModelUnavailable, match=r"does not have measured\.safetensors any more"):
            registered.store.load(registered.store.resolve(CHAMPION))
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("error", "is_about_the_cache"),
    [
        ("##### File model_meta.json #####\n[Errno 28] No space left on device", True),
        ("[Errno 30] Read-only file system: '/cache/.fetching-1/model/x'", True),
        ("[Errno 13] Permission denied: '{folder}/model_meta.json'", True),
        ("[Errno 13] Permission denied: '/artifacts/model_meta.json'", False),
        ("HTTPConnectionPool(host='x', port=1): Read timed out.", False),
    ],
)
def test_a_cache_that_cannot_be_written_is_no_outage(
    registered: Registered,
    monkeypatch: pytest.MonkeyPatch,
    error: str,
    is_about_the_cache: bool,
) -> None:
    """MLflow passes on the errors of a download as text."""

    def failing(*, artifact_uri: str, dst_path: str, tracking_uri: str) -> None:
        raise MlflowException(error.replace("{folder}", dst_path))

    version = registered.store.resolve(CHAMPION)
    monkeypatch.setattr("mlflow.artifacts.download_artifacts", failing)
    with pytest.raises(TrackingError) as caught:
        registered.store.load(version)
    said = str(caught.value)
    assert ("cannot be written" in said, "MLflow at" in said) == (
        is_about_the_cache, not is_about_the_cache,
    )  # fmt: skip
    assert isinstance(caught.value, ModelUnavailable) == is_about_the_cache


def test_whoever_comes_second_leaves_the_cached_files_of_the_first_alone(
    registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two servers fetch the same champion; one is done while the other still downloads."""
    version = registered.store.resolve(CHAMPION)
    download, first = ModelStore._download, []

    def overtaken(self: ModelStore, *order: Any) -> None:
        download(self, *order)
        monkeypatch.setattr(ModelStore, "_download", download)
        folder = registered.store.fetch(version)
        first.append((folder, (folder / "weights.safetensors").stat().st_ino))

    monkeypatch.setattr(ModelStore, "_download", overtaken)
    other = ModelStore(registered.uri, registered.folder / "cache")
    folder = other.fetch(version)
    assert first == [(folder, (folder / "weights.safetensors").stat().st_ino)]
    assert [path.name for path in (registered.folder / "cache").iterdir()] == [folder.name]


def test_a_cache_that_is_deleted_meanwhile_is_no_fault_of_the_model(
    registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = ModelStore.fetch

    def fetched(self: ModelStore, version: Any) -> Path:
        folder = fetch(self, version)
        shutil.rmtree(folder)
        return folder

    monkeypatch.setattr(ModelStore, "fetch", fetched)
    with pytest.raises(ModelUnavailable, match=r"model_meta\.json is not there, just after"):
        registered.store.load(registered.store.resolve(CHAMPION))


@pytest.mark.parametrize("name", ["model.pkl", "code.py", "a/b.npy"])
def test_tags_name_files_of_a_checkpoint_only(registered: Registered, name: str) -> None:
    registered.add(**{f"sha256.{name}": "0" * 64})
    with pytest.raises(ModelRefused, match="which is no file of a stored model"):
        registered.store.load(registered.store.resolve(CHAMPION))


def test_a_version_of_somebody_else_is_refused(registered: Registered) -> None:
    registered.client.create_model_version("two-tower", "file:///nowhere", None)
    with pytest.raises(ModelRefused, match="has no sha256"):
        registered.store.load(registered.store.resolve(Reference.parse("models:/two-tower/2")))


def test_a_damaged_cache_is_fetched_again(registered: Registered) -> None:
    version = registered.store.resolve(CHAMPION)
    folder = registered.store.fetch(version)
    (folder / "weights.safetensors").write_bytes(b"damaged")
    assert registered.store.fetch(version) == folder
    registered.store.load(version)
    shutil.rmtree(registered.artifacts(1))
    registered.store.load(version)  # out of the cache


def test_models_of_long_ago_leave_the_cache(registered: Registered) -> None:
    cache, old = registered.folder / "cache", time.time() - 7 * 24 * 3600
    cache.mkdir()
    for number in range(6):
        (cache / f"{number}").mkdir()
        os.utime(cache / f"{number}", (old, old + number))
    (cache / "today").mkdir()
    kept = registered.store.fetch(registered.store.resolve(CHAMPION))
    assert {path.name for path in cache.iterdir()} == {kept.name, "today", "5", "4", "3"}


def test_a_name_means_its_champion() -> None:
    assert Reference.parse("two-tower") == CHAMPION
    assert str(Reference.parse("films")) == "models:/films@champion"


def test_what_is_there_is_named_when_a_model_is_not(registered: Registered) -> None:
    store = ModelStore(registered.uri)
    with pytest.raises(ModelRefused, match=r"which has the models two-tower; .* --model films"):
        store.resolve(Reference.parse("films"))


def test_a_relative_address_means_the_folder_of_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow itself would go on with the store of the folder in which it was opened first."""
    for name in ("full", "bare"):
        (tmp_path / name).mkdir()
    Registered(tmp_path / "full").add()
    fresh_store(tmp_path / "bare")
    found = {name: next((tmp_path / name).glob("*.db")) for name in ("full", "bare")}
    assert found["full"].name == found["bare"].name
    uri = f"sqlite:///{found['full'].name}"
    for name in ("full", "bare", "full"):
        monkeypatch.chdir(tmp_path / name)
        if name == "full":
            assert ModelStore(uri).resolve(CHAMPION).version in (1, "1")
        else:
            with pytest.raises(ModelRefused, match="which has no model"):
                ModelStore(uri).resolve(CHAMPION)

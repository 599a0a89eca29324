"""Stored models: bit for bit back, and refused with file and cure when anything is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.artifacts.checkpoint import load, origin, save, stored_files
from recsys.data.interactions import Interactions
from recsys.errors import CheckpointError, ConfigError
from recsys.evaluation.evaluator import Histories, TowerScorer
from recsys.training.trainer import Trainer
from tests.support.examples import aisles, random_log
from tests.support.trained import CONFIG, Trained, train, trained

FILES = {
    "model_meta.json", "weights.safetensors", "history.safetensors",
    "user_vecs.npy", "item_vecs.npy", "item_bias.npy",
}  # fmt: skip


def weighted() -> Trained:
    data = random_log(np.random.default_rng(0), timed=False)
    weights = np.random.default_rng(1).random(len(data)).astype(np.float32) + 0.1
    return train(
        Interactions.from_codes(
            data.users, data.items, None, weights, data.user_ids, data.item_ids, repeats="keep"
        )
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path, trained().model, trained().history, origin("conveyor", trained().parts))
    return tmp_path


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "model_meta.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def featured() -> Trained:
    return train(aisles())


@pytest.mark.parametrize(
    "make", [trained, weighted, featured], ids=["timed", "weighted, repeats", "features"]
)
def test_comes_back_bit_for_bit(make: Any, tmp_path: Path) -> None:
    done = make()
    save(tmp_path, done.model, done.history, origin("x", done.parts))
    stored = load(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    state, again = done.model.state_dict(), stored.model.state_dict()
    assert state.keys() == again.keys()
    assert all(torch.equal(state[name], again[name]) for name in state)
    assert stored.model.config == done.model.config
    assert stored.model.ordered == done.model.ordered
    assert stored.history.fingerprint == done.history.fingerprint
    assert stored.history.repeats == done.history.repeats
    assert stored.measured is stored.history
    assert stored.meta["split"]["fingerprint"] == done.parts.fingerprint
    assert stored.meta["data"] == {"name": "x", "fingerprint": done.parts.interactions.fingerprint}


def test_features_come_back_and_must_fit(tmp_path: Path) -> None:
    done = featured()
    save(tmp_path, done.model, done.history, origin("x", done.parts))
    stored = load(tmp_path)
    before, after = (TowerScorer(each, done.history) for each in (done.model, stored.model))
    users = torch.arange(done.history.n_users)
    assert torch.equal(before.scores(users), after.scores(users))
    edit(tmp_path, item_features={"columns": ["group"], "sizes": [2]})
    with pytest.raises(CheckpointError, match="item_features: codes and offsets do not fit"):
        load(tmp_path)
    edit(tmp_path, item_features=None)
    with pytest.raises(CheckpointError, match="does not fit this version of recsys"):
        load(tmp_path)


def test_arrays_mean_what_the_meta_says(folder: Path) -> None:
    meta = json.loads((folder / "model_meta.json").read_text())
    user_vecs, item_vecs, item_bias = (
        np.load(folder / f"{name}.npy", allow_pickle=False)
        for name in ("user_vecs", "item_vecs", "item_bias")
    )
    assert meta["score"].startswith("user_vecs[u] @ item_vecs[i] + item_bias[i] + neighbour_weight")
    assert user_vecs.shape == (meta["n_users"], 8) == (len(meta["user_ids"]), 8)
    assert item_vecs.shape == (meta["n_items"], 8) == (len(meta["item_ids"]), 8)
    model, users = trained().model, torch.arange(60)
    expected = TowerScorer(model, trained().history).scores(users)
    found = torch.from_numpy(user_vecs @ item_vecs.T + item_bias)
    model.add_neighbours(found, Histories(model, trained().history).of(users))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-5)


def test_the_same_model_makes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    save(other, trained().model, trained().history, origin("conveyor", trained().parts))
    assert stored_files(folder) == stored_files(other)


def test_a_model_from_before_there_were_neighbours_has_none(tmp_path: Path) -> None:
    parts, config = trained().parts, CONFIG.replace(neighbour_weight=0.0)
    model = Trainer(parts.train, config, torch.device("cpu")).model
    save(tmp_path, model, parts.train, origin("conveyor", parts))
    older = config.as_dict()
    del older["neighbour_weight"]
    edit(tmp_path, config=older)
    assert load(tmp_path).model.neighbours is None


def test_a_model_whose_data_once_gave_no_neighbours_answers_as_it_did(tmp_path: Path) -> None:
    parts, plain = trained().parts, CONFIG.replace(neighbour_weight=0.0)
    trainer = Trainer(parts.train, plain, torch.device("cpu"))
    trainer.train_epoch()
    save(tmp_path, trainer.model, parts.train, origin("conveyor", parts))
    edit(tmp_path, config=plain.replace(neighbour_weight=3.0).as_dict())
    stored = load(tmp_path)
    assert stored.model.neighbours is None
    users = torch.arange(parts.train.n_users)
    expected = TowerScorer(trainer.model, parts.train).scores(users)
    assert torch.equal(TowerScorer(stored.model, stored.history).scores(users), expected)


def test_a_promoted_model_carries_both_histories(tmp_path: Path) -> None:
    parts = trained().parts
    save(tmp_path, trained().model, parts.interactions, {}, measured=parts.final.seen)
    stored = load(tmp_path)
    assert stored.history.fingerprint == parts.interactions.fingerprint
    assert stored.measured.fingerprint == parts.final.seen.fingerprint


def test_saving_again_replaces_the_model_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    first, second = trained(), train(random_log(np.random.default_rng(3)))
    parts = first.parts
    save(tmp_path, first.model, parts.interactions, {}, measured=parts.final.seen)
    save(tmp_path, second.model, second.history, {})
    stored = load(tmp_path)
    assert stored.history.fingerprint == second.history.fingerprint
    assert stored.measured is stored.history
    assert "notes.txt" not in stored_files(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_files_of_two_trainings_are_no_model(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    second = train(random_log(np.random.default_rng(3)))
    save(other, second.model, second.history, {})
    shutil.copyfile(other / "weights.safetensors", folder / "weights.safetensors")
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: damaged, or of another"):
        load(folder)


def test_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model_meta\.json: not there.*recsys\.train"):
        load(tmp_path)


@pytest.mark.parametrize("name", sorted(FILES - {"model_meta.json"}))
def test_a_missing_or_damaged_file_is_named(folder: Path, name: str) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name}: damaged.*recsys.train"):
        load(folder)
    path.unlink()
    with pytest.raises(CheckpointError, match=f"{name}: not there.*recsys.train"):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 99}, "format 99, this version of recsys reads 1"),
        ({"files": {}}, "list of files is not complete"),
        ({"config": {"dim": 8, "depth": 3}}, "depth: no such hyperparameter"),
        ({"config": {"dim": 16}}, "size mismatch"),
        ({"item_ids": ["i0"], "n_items": 1}, "items outside the catalogue"),
        ({"user_ids": ["u0"], "n_users": 1}, "do not make 1 histories"),
        ({"item_ids": ["i0"]}, r"model_meta\.json: damaged \(n_items is \d+, and item_ids has 1\)"),
        ({"config": None}, r"model_meta\.json: damaged \(config is no table\); train it again"),
        ({"config": {"dim": "8"}}, "dim='8': must be an integer"),
        ({"user_ids": None}, r"model_meta\.json: damaged \(user_ids is no list of texts\)"),
        ({"user_ids": "u0"}, "user_ids is no list of texts"),
        ({"item_ids": [1, 2]}, "item_ids is no list of texts"),
        ({"item_ids": ["i0", "i0"]}, "item_ids has an id twice"),
        ({"repeats": None}, "repeats is None"),
        ({"item_features": 3}, "item_features is no table"),
        ({"item_features": {"columns": None, "sizes": []}}, "does not fit this version"),
    ],
)
def test_a_foreign_meta_is_refused(folder: Path, changes: dict[str, Any], reason: str) -> None:
    edit(folder, **changes)
    with pytest.raises(CheckpointError, match=reason):
        load(folder)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_that_ran_out_is_no_fault_of_the_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("recsys.artifacts.checkpoint.new_model", refuse)
    with pytest.raises(type(error), match="memory") as caught:
        load(folder)
    assert caught.value is error


def test_a_device_that_is_not_there_is_told_as_everywhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr(torch, "empty", missing)
    with pytest.raises(ConfigError, match=r"cuda:7: cannot be used here \(Torch not compiled"):
        load(folder, torch.device("cuda", 7))


def test_a_meta_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / "model_meta.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"model_meta\.json: damaged"):
        load(folder)


def test_files_elsewhere_are_not_touched(folder: Path) -> None:
    files = json.loads((folder / "model_meta.json").read_text())["files"]
    edit(folder, files={**files, "../secret": "0"})
    with pytest.raises(CheckpointError, match="names a file elsewhere"):
        load(folder)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written.*--artifacts"):
        save(tmp_path / "file" / "model", trained().model, trained().history, {})

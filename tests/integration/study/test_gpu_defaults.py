"""Defaults of a study that is made on a GPU, and what becomes of them where it goes on."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hpo.config.search_space import ADJUSTED
from hpo.config.study_config import StudyConfig
from hpo.execution.launcher import make_record
from hpo.study.adjusted_config import NEXT_ITEM, adjust_to_data
from hpo.study.differences import acceptable, prohibitive
from hpo.study.records import StudyRecord
from recsys.data.splitting import split
from tests.support.examples import conveyor, conveyor_split

BASE = {"dim": 8, "epochs": 2}
LR = {"lr": {"low": 0.01, "high": 0.2}}


def study_config(**sections: Any) -> StudyConfig:
    return StudyConfig.model_validate({"name": "made", "base": BASE, "space": LR, **sections})


def on_gpu(
    config: StudyConfig, users: int | None = 50_000, stored: StudyRecord | None = None
) -> Any:
    return adjust_to_data(config, conveyor(), stored, users)[0].base


DIM = {"dim": {"low": 4, "high": 8}}


@pytest.mark.parametrize(
    ("users", "batch"), [(6_143, None), (6_144, 256), (24_575, 512), (24_576, 1024)]
)
def test_a_new_study_on_a_gpu_has_a_batch_by_its_users(users: int, batch: int | None) -> None:
    config = study_config(space=DIM)
    assert adjust_to_data(config, conveyor(), None)[0].base == BASE
    adjusted, lines = adjust_to_data(config, conveyor(), None, users)
    if batch is None:
        assert adjusted.base == BASE
        return
    lr = 0.003 * math.sqrt(batch / 128)
    assert adjusted.base == {**BASE, "batch_size": batch, "lr": pytest.approx(lr)}
    assert f"defaults on a GPU: batch_size {batch}, lr {lr:.4g}" in lines
    own = study_config(space=DIM, base={**BASE, "lr": 0.02})
    assert on_gpu(own, users) == {**own.base, "batch_size": batch}
    twice = study_config(space=DIM, base={**BASE, "cuts": 2})
    assert on_gpu(twice, users // 2)["batch_size"] == batch


@pytest.mark.parametrize(
    "sections",
    [
        {"base": {**BASE, "batch_size": 128}},
        {"space": {**LR, "batch_size": {"choices": [64, 128]}}},
        {"base_on_gpu": {"batch_size": 128}},
    ],
)
def test_a_study_with_a_batch_of_its_own_keeps_it(sections: dict[str, Any]) -> None:
    config = study_config(**sections)
    adjusted = adjust_to_data(config, conveyor(), None, 50_000)[0]
    assert adjusted.train_config.as_dict()["batch_size"] == 128
    assert adjusted.base["lr"] == 0.01  # clamped, not scaled


NARROW = {"lr": {"low": 1e-3, "high": 5e-3}}


@pytest.mark.parametrize(
    ("table", "split_method"),
    [
        ({}, "temporal"),
        ({"batch_size": 512, "dim": 4, "lr": 0.01}, "temporal"),
        ({"neighbours": 100}, "leave-one-out"),
    ],
)
def test_a_study_goes_on_with_the_base_of_the_device_it_was_made_on(
    table: dict[str, float], split_method: str
) -> None:
    def study(**sections: Any) -> StudyConfig:
        split_by = {"split": {"method": split_method}}
        given = {"space": NARROW, "base_on_gpu": table, **split_by, **sections}
        return study_config(**given)

    parts = split(conveyor(), method=split_method)
    for made_with in (None, 50_000):
        made = adjust_to_data(study(), conveyor(), None, made_with)[0]
        stored = make_record(made, "shop", parts)
        for goes_on_with in (None, 0, 100, 50_000):
            after, lines = adjust_to_data(study(), conveyor(), stored, goes_on_with)
            assert after.base == made.base
            assert not any("GPU" in line for line in lines)
            now = make_record(after, "shop", parts)
            assert acceptable(stored, now) == prohibitive(stored, now) == []
    if "neighbours" not in table:
        searched = {"lr": {"low": 1e-3, "high": 1e-1}, "batch_size": {"choices": [64, 512, 1024]}}
        again = stored
        for _ in range(2):  # the second time the record has the wider range
            after = adjust_to_data(study(space=searched), conveyor(), again, 50_000)[0]
            assert after.base == made.base  # as it was clamped
            again = make_record(after, "shop", parts)
    own = {"base": {}, "base_on_gpu": {}, "space": {"factors": {"low": 8, "high": 64}}}
    other = study(trainable="examples.als:Als", **own)
    assert adjust_to_data(other, conveyor(), stored, 50_000)[0].base == {}


def test_a_table_that_is_added_says_nothing_of_a_study_made_on_a_cpu() -> None:
    config = study_config()
    made = adjust_to_data(config, conveyor(), None)[0]
    stored = make_record(made, "shop", conveyor_split())
    added = study_config(base_on_gpu={"batch_size": 2048})
    for users in (None, 10):
        after = adjust_to_data(added, conveyor(), stored, users)[0]
        assert (after.base, after.base_on_gpu) == (made.base, {})
    on_one = make_record(adjust_to_data(added, conveyor(), None, 10)[0], "shop", conveyor_split())
    changed = study_config(base_on_gpu={"batch_size": 512})
    for users in (None, 10):
        assert on_gpu(changed, users, on_one)["batch_size"] == 512


def test_all_that_is_adjusted_stays_open_in_a_printed_study() -> None:
    automatic = adjust_to_data(study_config(space=DIM), conveyor(), None, 50_000)[0]
    assert {*automatic.base_on_gpu, *NEXT_ITEM} == ADJUSTED

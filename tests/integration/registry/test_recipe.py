"""Recipes of other versions of hpo: who must be updated is told."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.errors import PromotionError
from hpo.registry.recipe import KEY, Recipe
from hpo.study.candidates import Candidate
from recsys.artifacts.checkpoint import Checkpoint
from recsys.config import TrainConfig
from tests.support.fake_study import fake_record
from tests.support.trained import trained


def stored(**changes: Any) -> Checkpoint:
    """A model with a recipe; `changes` are made to it."""
    record = fake_record("s", 5)
    recipe = Recipe.of_candidate(Candidate(record, "s", 4, TrainConfig(), 2, 0.5, {})).as_dict()
    model = trained()
    meta = {**recipe, KEY: {**recipe[KEY], **changes}}
    return Checkpoint(model.model, model.parts.interactions, model.history, meta)


def test_a_recipe_comes_back() -> None:
    assert Recipe.of_model(stored(), "version 1").source.study == "s"


def test_unknown_keys_are_those_of_a_newer_version() -> None:
    told = r"version 1 was registered by a newer hpo, .*: 'split.moon', 'weather'; update this hpo"
    with pytest.raises(PromotionError, match=told) as caught:
        Recipe.of_model(stored(weather=1, split={"method": "temporal", "moon": 2}), "version 1")
    assert "delete" not in str(caught.value)


def test_lacking_keys_are_those_of_an_older_version() -> None:
    with pytest.raises(PromotionError, match=r"version 1 was registered by an older hpo\.promote"):
        Recipe.of_model(stored(study=None), "version 1")

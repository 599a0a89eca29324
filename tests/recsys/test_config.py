"""Hyperparameters: one default and range each, all problems at once."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from recsys.config import TrainConfig
from recsys.errors import ConfigError


def test_round_trip() -> None:
    config = TrainConfig(dim=7, lr=0.5, seed=3)
    assert TrainConfig.from_dict(config.as_dict()) == config
    assert config.replace(dim=8).dim == 8


def test_all_problems_at_once_with_the_legal_values() -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig(dim=0, lr=float("nan"), epochs=2.5)  # type: ignore[arg-type]
    assert [problem.split("=")[0] for problem in caught.value.problems] == ["dim", "lr", "epochs"]
    assert "1..4096" in str(caught.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="dimm: no such hyperparameter; known: dim, lr"):
        TrainConfig.from_dict({"dimm": 3})


@pytest.mark.parametrize("name", TrainConfig.names())
def test_bounds_are_legal_and_the_values_beyond_are_not(name: str) -> None:
    low, high = TrainConfig.bounds(name)
    cast = int if TrainConfig.is_integer(name) else float
    assert getattr(TrainConfig(**{name: cast(low)}), name) == low
    for outside in (low - 1, high + 1):
        with pytest.raises(ConfigError, match=name):
            TrainConfig(**{name: cast(outside)})


@given(st.integers(1, 4096), st.floats(1e-7, 10))
def test_numbers_survive_exactly(dim: int, lr: float) -> None:
    config = TrainConfig(dim=dim, lr=lr)
    assert (config.as_dict()["dim"], config.as_dict()["lr"]) == (dim, lr)

"""Drawn candidates: what is in them, how likely, and that the estimate has no bias."""

from __future__ import annotations

import numpy as np
import torch

from recsys.config import TrainConfig
from recsys.data.interactions import Ints64
from recsys.training.negatives import (
    DRAWN,
    WHOLE_CATALOGUE,
    NegativeSampler,
    SampledItems,
    n_negatives,
)
from tests.support.examples import random_log

LOG = random_log(np.random.default_rng(0))


def draws(times: int, n_drawn: int, n_targets: int) -> list[tuple[Ints64, SampledItems]]:
    """Targets as training has them (by popularity) and the candidates drawn with them."""
    generator = torch.Generator().manual_seed(0)
    sampler = NegativeSampler(LOG, n_drawn)
    items = LOG.items.astype(np.int64)
    result = []
    for _ in range(times):
        targets = items[torch.randint(len(items), (n_targets,), generator=generator).numpy()]
        result.append((targets, sampler.draw(targets, generator)))
    return result


def test_candidates_are_ascending_distinct_and_hold_every_target() -> None:
    for targets, candidates in draws(20, n_drawn=5, n_targets=7):
        assert (np.diff(candidates.items) > 0).all()
        column, there = candidates.columns(targets)
        assert there.all()
        assert np.array_equal(candidates.items[column], targets)


def test_columns_say_what_is_not_there() -> None:
    candidates = SampledItems(np.array([2, 5, 9]), np.zeros(3, np.float32))
    column, there = candidates.columns(np.array([0, 5, 9, 12]))
    assert there.tolist() == [False, True, True, False]
    assert column[there].tolist() == [1, 2]


def test_the_stated_share_is_how_often_an_item_is_drawn() -> None:
    times, found, stated = 3000, np.zeros(LOG.n_items), np.zeros(LOG.n_items)
    for _, candidates in draws(times, n_drawn=10, n_targets=6):
        found[candidates.items] += 1
        stated[candidates.items] = np.exp(candidates.log_share)
    assert (stated > 0).all()
    # Five standard errors of a share from 3,000 draws.
    error = np.sqrt(stated * (1 - stated) / times)
    assert (np.abs(found / times - stated) < 5 * error + 1e-6).all()


def test_the_denominator_is_right_in_expectation() -> None:
    value = np.random.default_rng(1).random(LOG.n_items) + 0.5
    estimates = [
        float((value[drawn.items] / np.exp(drawn.log_share)).sum())
        for _, drawn in draws(3000, n_drawn=10, n_targets=6)
    ]
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - float(value.sum())) < 5 * error


def test_the_whole_catalogue_while_it_is_small_or_asked_for() -> None:
    assert n_negatives(TrainConfig(), WHOLE_CATALOGUE) == 0
    assert n_negatives(TrainConfig(), WHOLE_CATALOGUE + 1) == DRAWN
    assert n_negatives(TrainConfig(negatives=100), 50_000) == 100
    assert n_negatives(TrainConfig(negatives=50_000), 50_000) == 0

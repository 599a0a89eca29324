"""Fast ranking and metrics against brute force; ties, masks and chunks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import topk
from recsys.evaluation import Evaluator
from recsys.interactions import Interactions
from recsys.metrics import UserMetrics
from recsys.split import Holdout, split
from tests import reference
from tests.examples import random_log

CPU = torch.device("cpu")


class Table:
    """A Scorer that looks its scores up."""

    def __init__(self, scores: np.ndarray) -> None:
        self._scores = torch.as_tensor(scores, dtype=torch.float32)

    def scores(self, users: torch.Tensor) -> torch.Tensor:
        return self._scores[users].clone()


def scores_for(holdout: Holdout, seed: int, levels: int) -> np.ndarray:
    """Random scores; few `levels` make many ties."""
    shape = (holdout.seen.n_users, holdout.seen.n_items)
    return np.random.default_rng(seed).integers(0, levels, shape).astype(np.float32)


def evaluate(scores: np.ndarray, holdout: Holdout, **options: int) -> UserMetrics:
    return Evaluator(holdout, CPU, **options).evaluate(Table(scores))


@given(st.integers(0, 10_000), st.sampled_from([2, 10, 1_000_000]), st.sampled_from([30, 400]))
@settings(max_examples=30, deadline=None)
def test_all_metrics_equal_brute_force(seed: int, levels: int, n_items: int) -> None:
    log = random_log(np.random.default_rng(seed), n_users=12, n_items=n_items, n=200)
    holdout = split(log).tuning
    scores = scores_for(holdout, seed, levels)
    expected = reference.metrics(scores, holdout)
    assert evaluate(scores, holdout).mean().as_dict() == pytest.approx(expected, abs=1e-12)


def test_repeats_are_not_masked_and_count_once() -> None:
    log = Interactions.from_ids(
        list("aaaaaabbbb"), list("xyxzxxyzyz"), list(range(10)), repeats="keep"
    )
    holdout = split(log).final
    scores = scores_for(holdout, 0, 1000)
    expected = reference.metrics(scores, holdout)
    assert evaluate(scores, holdout).mean().as_dict() == pytest.approx(expected, abs=1e-12)


def test_a_constant_score_earns_the_last_place() -> None:
    holdout = split(random_log(np.random.default_rng(0), n_items=60)).tuning
    result = evaluate(np.zeros((holdout.seen.n_users, holdout.seen.n_items)), holdout).mean()
    assert result.recall_at_20 == 0
    assert result.mrr < 1 / 20


def test_chunk_size_never_changes_a_result() -> None:
    holdout = split(random_log(np.random.default_rng(2))).tuning
    scores = scores_for(holdout, 2, 50)
    whole, tiny = evaluate(scores, holdout), evaluate(scores, holdout, chunk_bytes=1)
    for name, values in whole.values.items():
        assert (values == tiny.values[name]).all()


@given(st.integers(0, 1000), st.integers(1, 30))
@settings(deadline=None, max_examples=25)
def test_two_level_top_values_are_exact(seed: int, k: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 3000, (3, topk.BLOCK * 40 + 17), generator=draw).float()
    assert torch.equal(topk.top_values(scores, k), torch.topk(scores, k, dim=1).values)


def test_a_question_already_answered_is_refused() -> None:
    holdout = split(random_log(np.random.default_rng(0))).tuning
    with pytest.raises(AssertionError, match="history and in the question"):
        Evaluator(Holdout(holdout.seen, holdout.seen), CPU)


def test_order_of_users_and_names_of_items_change_nothing() -> None:
    log = random_log(np.random.default_rng(4))
    holdout = split(log).tuning
    scores = scores_for(holdout, 4, 100)
    shift = np.random.default_rng(0).permutation(log.n_items)
    moved = {
        part: Interactions.from_codes(
            rows.users, shift[rows.items], rows.times, None, log.user_ids, log.item_ids
        )
        for part, rows in (("seen", holdout.seen), ("relevant", holdout.relevant))
    }
    renamed = np.empty_like(scores)
    renamed[:, shift] = scores
    one, two = evaluate(scores, holdout).mean(), evaluate(renamed, Holdout(**moved)).mean()
    assert dataclasses.astuple(one) == pytest.approx(dataclasses.astuple(two))

"""Fast ranking and metrics against brute force; ties, masks and chunks."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.data.splitting import Holdout, split
from recsys.errors import ScoreError
from recsys.evaluation.evaluator import Evaluator, Histories, TowerScorer, encode_users
from recsys.evaluation.metrics import UserMetrics, half_width
from recsys.evaluation.ranking import ranks
from recsys.models.two_tower import new_model
from tests.support import reference
from tests.support.examples import random_log
from tests.support.trained import trained

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


@given(st.integers(0, 10_000), st.sampled_from([2, 1_000_000]), st.sampled_from([1, 7, 100, 1000]))
@settings(max_examples=20, deadline=None)
def test_further_metrics_equal_brute_force(seed: int, levels: int, k: int) -> None:
    log = random_log(np.random.default_rng(seed), n_users=12, n_items=150, n=300)
    holdout = split(log).tuning
    scores = scores_for(holdout, seed, levels)
    expected = reference.metrics(scores, holdout, partial(reference.further_metrics, k=k))
    found = Evaluator(holdout, CPU, names=tuple(expected)).evaluate(Table(scores)).values
    means = {name: values.mean() for name, values in found.items()}
    assert means == pytest.approx(expected, abs=1e-12)


def test_repeats_are_not_masked_and_count_once() -> None:
    log = Interactions.from_ids(
        list("aaaaaabbbb"), list("xyxzxxyzyz"), list(range(10)), repeats="keep"
    )
    holdout = split(log).final
    scores = scores_for(holdout, 0, 1000)
    expected = reference.metrics(scores, holdout)
    assert evaluate(scores, holdout).mean().as_dict() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("asked", [50, 300])
def test_a_sample_of_users_lies_as_near_to_all_as_its_interval_says(asked: int) -> None:
    rng = np.random.default_rng(0)
    found = rng.random(400) < 0.3  # of everybody: yes or no, which varies most
    means = np.array([rng.choice(found, asked, replace=False).mean() for _ in range(2000)])
    widths = np.array([half_width(mean, asked, len(found)) for mean in means])
    assert 0.92 < (abs(means - found.mean()) <= widths).mean() < 0.98
    assert half_width(0.3, 400, 400) == 0.0, "everybody was asked"


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


@given(st.integers(0, 1000), st.sampled_from([1, 5, 20]), st.sampled_from([2, 500, 1_000_000]))
@settings(deadline=None, max_examples=40)
def test_ranks_are_counts(seed: int, k: int, levels: int) -> None:
    """In small, middle and large catalogues, with and without blocks that are not full."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([k + 2, 300, 40 * 96, 2100, 8064, 9001]))
    scores = rng.integers(0, levels, (4, n)).astype(np.float32)
    scores[rng.random((4, n)) < rng.choice([0.0, 0.01, 0.9])] = -np.inf
    rows, items = np.repeat(np.arange(4), 6), rng.integers(0, n, 24)
    scores[rows, items] = rng.integers(0, levels, 24)
    expected = (scores[rows] >= scores[rows, items][:, None]).sum(1)
    found = ranks(torch.from_numpy(scores.copy()), rows, items, k)
    assert found.rank.ravel().tolist() == np.minimum(expected, k + 1).tolist()
    assert found.best.tolist() == expected.reshape(4, 6).min(1).tolist()
    highest = -np.sort(-scores, axis=1)[:, : k + 1]
    columns = found.columns().numpy()
    assert (found.values.numpy() == highest).all()
    assert (np.take_along_axis(scores, columns, 1) == highest).all()
    assert all(len(set(row)) == len(row) for row in columns.tolist())


def test_one_item_alone_is_the_first() -> None:
    first, only = torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.int64)
    found = ranks(torch.tensor([[0.5]]), first, first, 20)
    assert (found.rank, found.best, found.columns().tolist()) == (only, only, [[0]])


def test_a_towers_result_does_not_depend_on_the_chunks() -> None:
    holdout = trained().parts.tuning
    scorer = TowerScorer(trained().model, holdout.seen)
    found = [
        Evaluator(holdout, CPU, chunk_bytes=chunk).evaluate(scorer).values
        for chunk in (1, 1000, 16 << 20)
    ]
    for name, values in found[0].items():
        assert (values == found[1][name]).all()
        assert (values == found[2][name]).all()


def test_users_are_encoded_alike_alone_and_together() -> None:
    model, seen = trained().model, trained().history
    whole = encode_users(model, seen)
    assert torch.equal(encode_users(model, seen, rows=1), whole)
    assert torch.equal(Histories(model, seen).vectors(torch.tensor([7, 3])), whole[[7, 3]])


def test_a_question_already_answered_is_refused() -> None:
    seen = split(random_log(np.random.default_rng(0))).tuning.seen
    holdout = Holdout(seen, seen.take(np.array([17])))
    with pytest.raises(AssertionError, match="history and in the question"):
        evaluate(scores_for(holdout, 0, 10), holdout)


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
    assert one.as_dict() == pytest.approx(two.as_dict())


@pytest.mark.parametrize(("score", "is_nan"), [(torch.nan, True), (-torch.inf, False)])
def test_an_item_without_a_finite_score_has_no_rank(score: float, is_nan: bool) -> None:
    holdout = split(random_log(np.random.default_rng(0))).tuning
    scores = scores_for(holdout, 0, 10)
    scores[holdout.relevant.users[3], holdout.relevant.items[3]] = score
    with pytest.raises(ScoreError, match=r"^1 .* have ") as error:
        evaluate(scores, holdout)
    assert error.value.is_nan == is_nan


@pytest.mark.parametrize("n_nan", [1, 11, 25])
def test_scores_of_nan_that_nobody_asked_for_are_no_high_ranks(n_nan: int) -> None:
    holdout = split(random_log(np.random.default_rng(0))).tuning
    scores = scores_for(holdout, 0, 10)
    asked = np.unique(holdout.relevant.items)
    others = np.setdiff1d(np.arange(scores.shape[1]), asked)[:n_nan]
    scores[:, others] = np.nan
    with pytest.raises(ScoreError, match="NaN") as error:
        evaluate(scores, holdout)
    assert error.value.is_nan


def test_scores_need_not_be_contiguous() -> None:
    holdout = split(random_log(np.random.default_rng(0))).tuning
    table = torch.from_numpy(scores_for(holdout, 0, 10))

    class Transposed:
        def scores(self, users: torch.Tensor) -> torch.Tensor:
            return table[users].T.clone().T

    found = Evaluator(holdout).evaluate(Transposed()).mean()
    assert found.as_dict() == evaluate(table.numpy(), holdout).mean().as_dict()


def test_a_user_alone_in_a_chunk_gets_the_scores_of_a_user_among_others() -> None:
    holdout = split(random_log(np.random.default_rng(0))).tuning
    config = TrainConfig(dim=128)
    model = new_model(holdout.seen, config, torch.device("cpu"))
    model.initialize(torch.Generator().manual_seed(0))
    scorer = TowerScorer(model, holdout.seen)
    users = torch.arange(16)
    together = scorer.scores(users).clone()
    for user in users:  # to rounding: some processors' products depend on the number of rows
        torch.testing.assert_close(scorer.scores(user[None])[0], together[user], rtol=0, atol=1e-6)

"""Recall on cold items and of cold users, against figures known by construction."""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.data.splitting import Holdout
from recsys.evaluation.cold_start import cold_recall

CPU = torch.device("cpu")
N_ITEMS = 40


def holdout(n_items: int = N_ITEMS) -> Holdout:
    """Items 0..19 are known, the others cold; user 0 has a history, user 1 has none."""
    users = np.array([0] * 20 + [0] * 4 + [1] * 2)
    items = np.array([*range(20), *range(20, 24), 0, n_items - 1])
    ids = [str(number) for number in range(n_items)]
    data = Interactions.from_codes(users, items, np.arange(26), None, ["a", "b"], ids)
    seen = np.arange(26) < 20
    return Holdout(data.take(seen), data.take(~seen))


class ByNumber:
    """Item i scores sign * i, for everybody."""

    def __init__(self, sign: float, n_items: int = N_ITEMS) -> None:
        self._scores = sign * torch.arange(float(n_items))

    def scores(self, users: Tensor) -> Tensor:
        return self._scores.repeat(len(users), 1)


def test_known_answers() -> None:
    items, users = cold_recall(ByNumber(-1.0), holdout(), CPU)
    # Low numbers first. User 0 has 0..19, so 20..23 lead; for user 1 39 comes last, also among
    # the 20 cold ones.
    assert (items.n_cold, items.n_all, items.n_asked) == (20, 40, 2)
    assert (items.recall, items.among, items.chance) == (0.5, 0.5, 0.5)
    assert (users.n_cold, users.n_all, users.n_asked, users.recall) == (1, 2, 1, 0.5)
    items, users = cold_recall(ByNumber(1.0), holdout(), CPU)
    assert (items.recall, items.among) == (0.5, 0.5)
    assert users.recall == 0.5
    assert items.popularity == 0.0  # all cold items tie at the end


def test_lines_say_what_was_asked() -> None:
    items, users = (result.line() for result in cold_recall(ByNumber(-1.0), holdout(), CPU))
    assert items == (
        "20 of 40 that nobody trained on, 2 users asked: recall@10 0.5000 (popularity 0.0000), "
        "among themselves 0.5000 (chance 0.5000)"
    )
    assert re.fullmatch(
        r"1 of 2 without history, 1 user asked: recall@10 0.5000 \(popularity 0\.\d{4}\)", users
    )


def test_no_order_is_asked_of_cold_items_that_all_fit_into_a_list() -> None:
    for n_cold, said in ((10, False), (11, True)):
        n = 20 + n_cold
        items = cold_recall(ByNumber(1.0, n), holdout(n), CPU)[0]
        assert ("among themselves" in items.line(), items.n_cold) == (said, n_cold)


def test_nothing_cold_is_nothing_said() -> None:
    whole = holdout()
    rows = np.isin(whole.relevant.items, np.unique(whole.seen.items))
    warm = whole.relevant.take(rows & (whole.relevant.users == 0))
    assert cold_recall(ByNumber(1.0), Holdout(whole.seen, warm), CPU) == []

"""Groups of users and items against definitions written with loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.splitting import Holdout, split
from recsys.evaluation.evaluator import Evaluator
from recsys.evaluation.segments import activity_groups, popularity_groups
from recsys.models.baselines import Popularity
from tests.support.examples import random_log

CPU = torch.device("cpu")


@pytest.fixture
def holdout() -> Holdout:
    return split(random_log(np.random.default_rng(0))).tuning


def test_activity_groups_are_a_partition_by_length(holdout: Holdout) -> None:
    users = np.unique(holdout.relevant.users).astype(np.int64)
    groups = activity_groups(holdout.seen, users)
    assert len(groups) == 3
    assert (np.sum([group.members for group in groups], axis=0) == 1).all()
    for group in groups:
        lengths = [int((holdout.seen.users == user).sum()) for user in users[group.members]]
        assert (min(lengths), max(lengths)) == (group.shortest, group.longest)
    assert groups[0].longest < groups[1].shortest <= groups[1].longest < groups[2].shortest


def test_equally_active_users_are_one_group() -> None:
    seen = Interactions.from_ids(list("aabbcc"), list("xyxyxy"))
    (group,) = activity_groups(seen, np.arange(3))
    assert (group.shortest, group.longest, group.members.all()) == (2, 2, True)


def test_items_are_grouped_by_thirds_of_rows() -> None:
    bought = ["w"] * 3 + ["x", "x", "y", "z"]  # w: 3 of 7 rows; x: 2; y, z: 1 each; v: none
    users, items = list("abcdefg"), list("wxyzv")
    codes = [items.index(item) for item in bought]
    seen = Interactions.from_codes(range(7), codes, None, None, users, items)
    relevant = Interactions.from_codes([6, 5, 4, 3, 2], range(5), None, None, users, items)
    groups = popularity_groups(Holdout(seen, relevant))
    asked = {g.name: [g.holdout.seen.item_ids[i] for i in g.holdout.relevant.items] for g in groups}
    assert {name: sorted(items) for name, items in asked.items()} == {
        "head": ["w"],
        "middle": ["x"],
        "tail": ["v", "y", "z"],
    }
    assert [group.n_items for group in groups] == [1, 1, 3]


def test_hits_of_the_groups_add_up_to_all_hits(holdout: Holdout) -> None:
    scorer = Popularity(holdout.seen, CPU)

    def hits(part: Holdout) -> float:
        found = Evaluator(part, CPU).evaluate(scorer)
        asked = np.bincount(part.relevant.users, minlength=part.seen.n_users)[found.users]
        return float((found.values["recall_at_10"] * asked).sum())

    groups = popularity_groups(holdout)
    assert sum(hits(group.holdout) for group in groups) == pytest.approx(hits(holdout))
    assert sum(len(group.holdout.relevant) for group in groups) == len(holdout.relevant)

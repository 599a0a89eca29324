"""Properties of Interactions that hold for any rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from recsys.data.interactions import Interactions, sorted_ids
from recsys.errors import DataError

IDS = st.text("0129ab-", min_size=1, max_size=3)
# (user, item, time): few values, so that repeats and ties are common.
ROWS = st.lists(st.tuples(IDS, IDS, st.integers(-3, 3)), min_size=1, max_size=30)


def build(rows, **options) -> Interactions:
    users, items, times = zip(*rows, strict=True)
    return Interactions.from_ids(users, items, times, **options)


@given(ROWS)
def test_ids_map_there_and_back(rows):
    data = build(rows, repeats="keep")
    back = zip(
        (data.user_ids[u] for u in data.users),
        (data.item_ids[i] for i in data.items),
        data.times.tolist(),
        strict=True,
    )
    assert sorted(back) == sorted(rows)
    assert data.n_users == len({user for user, _, _ in rows})
    assert data.n_items == len({item for _, item, _ in rows})


@given(ROWS)
def test_vocabularies_hold_no_phantoms(rows):
    data = build(rows)
    assert set(data.users.tolist()) == set(range(data.n_users))
    assert set(data.items.tolist()) == set(range(data.n_items))


@given(ROWS)
def test_dropping_repeats_keeps_the_earliest(rows):
    data = build(rows)
    earliest = {}
    for user, item, time in rows:
        earliest[user, item] = min(time, earliest.get((user, item), time))
    found = {
        (data.user_ids[u], data.item_ids[i]): t
        for u, i, t in zip(data.users, data.items, data.times, strict=True)
    }
    assert found == earliest
    assert len(data) == len(earliest)


def test_the_kept_row_keeps_its_own_weight():
    data = Interactions.from_ids("aa", "xx", [9, 4], [1.0, 5.0])
    assert data.times.tolist() == [4]
    assert data.weights.tolist() == [5.0]


@given(ROWS, st.randoms(use_true_random=False))
def test_fingerprint_ignores_row_order_without_ties(rows, random):
    rows = [(user, item, number) for number, (user, item, _) in enumerate(rows)]
    shuffled = random.sample(rows, len(rows))
    for repeats in ("drop", "keep"):
        assert (
            build(rows, repeats=repeats).fingerprint == build(shuffled, repeats=repeats).fingerprint
        )


@given(ROWS, st.randoms(use_true_random=False))
def test_without_times_row_order_never_matters(rows, random):
    pairs = [(user, item) for user, item, _ in rows]
    shuffled = random.sample(pairs, len(pairs))
    one, two = (Interactions.from_ids(*zip(*each, strict=True)) for each in (pairs, shuffled))
    assert one.fingerprint == two.fingerprint


@given(ROWS)
def test_fingerprint_sees_a_changed_time(rows):
    data = build(rows, repeats="keep")
    user, item, time = rows[0]
    assert build([(user, item, time + 10), *rows[1:]], repeats="keep").fingerprint != (
        data.fingerprint
    )


@given(ROWS)
def test_offsets_delimit_each_users_ordered_history(rows):
    data = build(rows, repeats="keep")
    assert data.offsets[0] == 0
    assert data.offsets[-1] == len(data)
    for user in range(data.n_users):
        mine = slice(data.offsets[user], data.offsets[user + 1])
        assert set(data.users[mine].tolist()) == {user}
        assert (np.diff(data.times[mine]) >= 0).all()


def test_ties_stay_in_the_order_given():
    data = Interactions.from_ids("aaa", ["z", "x", "y"], [5, 5, 5])
    assert [data.item_ids[i] for i in data.items] == ["z", "x", "y"]


@pytest.mark.parametrize(
    ("given_ids", "expected"),
    [
        (["10", "9", "100"], ["9", "10", "100"]),
        (["10", "9", "007"], ["007", "10", "9"]),
        (["0", "10", "2"], ["0", "2", "10"]),
        (["b", "B", "a"], ["B", "a", "b"]),
        (["٣", "1"], ["1", "٣"]),
        (["9" * 5000, "1" * 5000], ["1" * 5000, "9" * 5000]),
        ([], []),
    ],
)
def test_vocabulary_order(given_ids, expected):
    assert sorted_ids(given_ids) == expected


def test_bad_columns_are_named_together():
    with pytest.raises(DataError) as error:
        Interactions.from_codes([0, 7], [0], None, [1.0, -1.0], ["a"], ["x"])
    assert [line.split()[0] for line in error.value.problems] == ["column", "users", "weights"]

"""Who is held out: a partition, ordered in time, the same on every machine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from recsys import train
from recsys.data.interactions import Interactions
from recsys.data.splitting import split
from recsys.errors import ConfigError, DataError
from tests.support.examples import SECOND, random_log


def history_of(lengths: list[int]) -> Interactions:
    users = [f"u{u}" for u, length in enumerate(lengths) for _ in range(length)]
    items = [f"i{i}" for length in lengths for i in range(length)]
    times = [i * SECOND for length in lengths for i in range(length)]
    return Interactions.from_ids(users, items, times)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.sampled_from([0.1, 0.2, 0.5]))
def test_temporal_split_is_a_partition_in_time_order(lengths: list[int], fraction: float) -> None:
    log = history_of([*lengths, 10])
    parts = split(log, fraction=fraction)
    assert len(parts.train) + len(parts.validation) + len(parts.test) == len(log)
    for user, length in enumerate([*lengths, 10]):
        k = max(1, int(fraction * length + 1e-9)) if length >= 3 else 0
        left = length - k
        k2 = max(1, int(fraction * left + 1e-9)) if left >= 3 else 0
        u = log.user_ids.index(f"u{user}")
        times = [
            part.times[part.users == u] for part in (parts.train, parts.validation, parts.test)
        ]
        assert [len(part) for part in times] == [left - k2, k2, k]
        joined = np.concatenate(times)
        assert (np.diff(joined) >= 0).all()


def test_ten_rows_at_a_fifth_hold_out_two_then_one() -> None:
    parts = split(history_of([10]))
    assert parts.parts.tolist() == [0] * 7 + [1] + [2] * 2


def test_ties_in_time_keep_the_order_of_the_file() -> None:
    log = Interactions.from_ids(["u"] * 5, list("edcba"), [7] * 5)
    last = split(log).test
    assert [log.item_ids[i] for i in last.items] == ["a"]


@pytest.mark.parametrize("method", ["temporal", "random"])
def test_without_times_the_draw_follows_the_seed_alone(method: str) -> None:
    log = random_log(np.random.default_rng(3), timed=False)
    first, again, other = (split(log, method, seed=seed) for seed in (1, 1, 2))
    assert (first.parts == again.parts).all()
    assert (first.parts != other.parts).any()
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_leave_one_out_takes_the_newest_and_the_one_before() -> None:
    log = history_of([3, 5, 20, 2, 1])
    parts = split(log, "leave-one-out")
    for part, from_the_end in ((parts.test, 1), (parts.validation, 2)):
        assert part.users.tolist() == [0, 1, 2]
        assert [log.item_ids[i] for i in part.items] == [f"i{n - from_the_end}" for n in (3, 5, 20)]
    assert np.bincount(parts.train.users).tolist() == [1, 3, 18, 2, 1]


def test_leave_one_out_without_times_draws_two_rows_a_user() -> None:
    log = random_log(np.random.default_rng(3), timed=False)
    first, again, other = (split(log, "leave-one-out", seed=seed) for seed in (1, 1, 2))
    assert (first.parts == again.parts).all()
    assert (first.parts != other.parts).any()
    assert set(np.bincount(first.test.users).tolist()) == {1}


def test_global_time_takes_the_last_of_equally_old_rows() -> None:
    log = Interactions.from_ids([f"u{n // 2}" for n in range(10)], list("abcdefghij"), [5] * 10)
    assert split(log, "global-time").parts.tolist() == [0] * 7 + [1] + [2] * 2


def test_global_time_takes_newer_rows_before_equally_old_ones() -> None:
    times = [0] * 3 + [5] * 6 + [9]
    log = Interactions.from_ids([f"u{n // 2}" for n in range(10)], list("abcdefghij"), times)
    parts = split(log, "global-time", fraction=0.4).parts
    assert parts.tolist() == [0] * 4 + [1] * 2 + [2] * 4


def test_global_time_with_too_few_rows_is_a_sentence() -> None:
    with pytest.raises(DataError, match="nothing to hold out: 4 train, 0 validation and 0 test"):
        split(history_of([2, 2]), "global-time")


def test_who_has_nothing_held_out_is_not_among_those_to_ask() -> None:
    parts = split(history_of([10, 2, 1]), eval_users=1)
    assert (parts.n_validation_users, parts.is_sampled) == (1, False)


def test_the_fingerprint_tells_other_rows_of_a_ready_made_split() -> None:
    log = history_of([6])
    one, other = (
        split(log, given=np.array(parts, np.int8)) for parts in ([0] * 4 + [1, 2], [0] * 4 + [2, 1])
    )
    assert one.fingerprint != other.fingerprint


def test_of_many_users_tuning_asks_a_sample_and_test_asks_all() -> None:
    log = random_log(np.random.default_rng(5), n_users=80)
    whole, some, again, other = (
        split(log, seed=seed, method="temporal", eval_users=n)
        for n, seed in ((80, 0), (30, 0), (30, 0), (30, 1))
    )
    asked = np.unique(some.tuning.relevant.users)
    assert len(asked) == 30
    rows = whole.tuning.relevant
    expected = rows.take(np.isin(rows.users, asked))
    assert (some.tuning.relevant.items == expected.items).all()
    assert (again.tuning.relevant.users == some.tuning.relevant.users).all()
    assert set(np.unique(other.tuning.relevant.users)) != set(asked)
    assert len(some.tuning.seen) == len(whole.tuning.seen)
    assert len(some.final.relevant) == len(whole.final.relevant)
    assert (whole.is_sampled, some.is_sampled) == (False, True)
    assert some.fingerprint == again.fingerprint != whole.fingerprint
    assert split(log, eval_users=1000).fingerprint == split(log).fingerprint


def test_counts_are_those_of_the_parts() -> None:
    parts = split(random_log(np.random.default_rng(1)))
    assert parts.counts == (len(parts.train), len(parts.validation), len(parts.test))


def test_global_time_shows_nobody_the_future() -> None:
    log = random_log(np.random.default_rng(0))
    parts = split(log, "global-time")
    assert parts.train.times.max() <= parts.validation.times.min()
    assert parts.validation.times.max() <= parts.test.times.min()


def test_tuning_and_final_hold_what_they_promise() -> None:
    parts = split(random_log(np.random.default_rng(1)))
    assert parts.tuning.seen is not None
    assert len(parts.tuning.seen) == len(parts.train)
    assert len(parts.tuning.relevant) == len(parts.validation)
    assert len(parts.final.seen) == len(parts.train) + len(parts.validation)
    assert len(parts.final.relevant) == len(parts.test)


def test_nothing_to_hold_out_is_an_error_with_the_cure() -> None:
    with pytest.raises(DataError, match="At least one user needs 4 different items; .* is 2"):
        split(history_of([2, 1]))


def test_one_row_each_in_train_is_nothing_to_learn_from() -> None:
    with pytest.raises(DataError, match="nothing to learn from: 2 train, 2 validation and 2 test"):
        split(history_of([3, 3]), "leave-one-out")


def test_all_wrong_options_are_told_at_once() -> None:
    log = random_log(np.random.default_rng(0), timed=False)
    with pytest.raises(ConfigError) as caught:
        split(log, "global-time", fraction=1.5, eval_users=0)
    assert len(caught.value.problems) == 3
    with pytest.raises(ConfigError, match="must be one of temporal, random"):
        split(log, "newest")  # type: ignore[arg-type]


def test_data_too_small_to_split_is_named(tmp_path):
    file = tmp_path / "tiny.csv"
    file.write_text("user_id,item_id\n1,1\n2,2\n")
    with pytest.raises(DataError, match="nothing to hold out") as error:
        train.main(["--data", str(file), "--artifacts", str(tmp_path / "model")])
    assert str(error.value).startswith(f"{file}: ")


def told(log: Interactions, *how: object, **more: object) -> str:
    with pytest.raises(DataError, match="nothing to hold out") as error:
        split(log, *how, **more)  # type: ignore[arg-type]
    return str(error.value)


@pytest.mark.parametrize("method", ["temporal", "random"])
@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5, 0.66, 0.9])
def test_the_rows_said_to_be_needed_are_enough_and_one_less_is_not(
    method: str, fraction: float
) -> None:
    found = told(history_of([2]), method, fraction=fraction)
    needed = int(found.split("needs ")[1].split()[0])
    assert f"needs {needed} different items" in told(
        history_of([needed - 1]), method, fraction=fraction
    )
    assert min(split(history_of([needed, 2]), method, fraction=fraction).counts) > 0  # type: ignore[arg-type]


def test_leave_one_out_needs_three_rows_of_a_user() -> None:
    found = told(history_of([2, 1]), "leave-one-out")
    assert "At least one user needs 3 different items; the most that any user has is 2." in found
    assert min(split(history_of([3, 2]), "leave-one-out").counts) > 0


def test_global_time_needs_a_share_of_all_rows() -> None:
    found = told(history_of([9, 9]), "global-time", fraction=0.05)
    assert "the newest 0.05 of 18 rows" in found
    assert "user needs" not in found


def test_a_ready_made_split_without_validation_needs_rows_in_train() -> None:
    log = history_of([2, 5])  # in train 2 rows of each user, in test 3 of one
    found = told(log, given=np.array([0, 0, 0, 0, 2, 2, 2], np.int8))
    assert "No user has the 3 rows in train that a validation needs (the most is 2)" in found
    assert "give a validation file (valid.*), or more rows in train" in found
    assert "different items" not in found


def test_a_ready_made_split_without_train_says_so() -> None:
    found = told(history_of([3]), given=np.array([1, 2, 2], np.int8))
    assert "No row is left in train; give a train file with other rows" in found

"""Bootstrap intervals against what theory says of planted data."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from recsys.evaluation.bootstrap import mean_interval, mean_intervals


def test_holds_the_true_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    found = [mean_interval(rng.normal(0.3, 2.0, 80), resamples=400) for _ in range(400)]
    held = np.mean([interval.low <= 0.3 <= interval.high for interval in found])
    assert 0.92 <= held <= 0.97  # standard error 0.011


def test_is_as_wide_as_the_normal_approximation() -> None:
    values = np.random.default_rng(1).normal(5.0, 1.0, 2000)
    interval = mean_interval(values)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert interval.mean == pytest.approx(values.mean(), abs=1e-12)
    assert interval.low == pytest.approx(interval.mean - half, abs=0.08 * half)
    assert interval.high == pytest.approx(interval.mean + half, abs=0.08 * half)


def test_many_users_in_groups_give_the_same_interval() -> None:
    values = np.random.default_rng(5).normal(0.2, 1.0, 25_001)
    half = 1.96 * values.std() / np.sqrt(len(values))
    interval = mean_interval(values, resamples=1000)
    assert interval.mean == pytest.approx(values.mean(), abs=1e-12)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.08)
    assert interval.low < interval.mean < interval.high


def test_a_higher_level_is_wider() -> None:
    values = np.random.default_rng(2).random(50)
    narrow, wide = mean_interval(values, level=0.5), mean_interval(values, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_columns_see_the_same_users() -> None:
    columns = np.random.default_rng(3).random((40, 2))
    both = mean_intervals(columns)
    for column, interval in zip(columns.T, both, strict=True):
        assert astuple(interval) == pytest.approx(astuple(mean_interval(column)), abs=1e-12)
    assert mean_interval(columns[:, 0], seed=1) != both[0]


def test_paired_differences_see_what_two_intervals_hide() -> None:
    rng = np.random.default_rng(4)
    hard_or_easy = rng.normal(0, 1, 200)
    better, worse = hard_or_easy + 0.1 + rng.normal(0, 0.1, 200), hard_or_easy
    assert mean_interval(better).low < mean_interval(worse).high
    assert mean_interval(better - worse).low > 0


def test_equal_values_have_no_width_and_no_users_no_interval() -> None:
    same = mean_interval(np.full(7, 0.25))
    assert (same.mean, same.low, same.high) == (0.25, 0.25, 0.25)
    with pytest.raises(ValueError, match="no users"):
        mean_interval(np.empty(0))

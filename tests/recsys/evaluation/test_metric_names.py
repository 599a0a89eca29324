"""Which metrics there are, and which are measured."""

from __future__ import annotations

import pytest

from recsys.evaluation.metric_names import STANDARD, check_metric, measured_names


@pytest.mark.parametrize(
    "name", ["mrr", "recall_at_1", "ndcg_at_100", "hit_rate_at_999", "map_at_1000"]
)
def test_these_are_metrics(name: str) -> None:
    assert check_metric(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "recall", "recall_at_", "recall_at_0", "recall_at_05", "map_at_1001", "auc_at_5"),
        *("mrr_at_5", "recall_at_10\n", "xrecall_at_10"),
    ],
)
def test_these_are_none(name: str) -> None:
    with pytest.raises(ValueError, match=r"no metric .*recall_at_K.*or mrr"):
        check_metric(name)


def test_the_objective_and_further_cutoffs_come_after_the_standard_ones() -> None:
    assert measured_names("recall_at_10") == STANDARD
    assert measured_names("map_at_7") == (*STANDARD, "map_at_7")
    assert measured_names("recall_at_100", [100, 20]) == (
        *STANDARD, "recall_at_100", "ndcg_at_100",
    )  # fmt: skip

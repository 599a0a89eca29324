"""Formulas of recall, NDCG, MRR and others of full rankings, per user and as means.

Common to all metrics:

- The ranking holds the whole catalogue except items the user already has (see
  `recsys.evaluation.evaluator`); items without training rows stay candidates.
- The rank of a relevant item is the number of candidates that score at least as high, itself
  included, so ties never favour it.
- Users without relevant items are left out, not counted as 0.
- All values lie in [0, 1]; higher is better. What users are shown as a whole has other rules, see
  `recsys.evaluation.exposure`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from recsys.evaluation.metric_names import STANDARD, MetricName, family_and_cutoff

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Metrics:
    """Means of the metrics over users; MLflow and all outputs use the field names.

    Attributes:
        recall_at_5: mean of `recall` with k = 5.
        recall_at_10: mean of `recall` with k = 10.
        recall_at_20: mean of `recall` with k = 20.
        ndcg_at_5: mean of `ndcg` with k = 5.
        ndcg_at_10: mean of `ndcg` with k = 10.
        ndcg_at_20: mean of `ndcg` with k = 20.
        mrr: mean of 1 / rank of the best relevant item.
        n_users: users that the means cover.
        more: means of further metrics by name, see `recsys.evaluation.metric_names`, and what
            users are shown as a whole, see `recsys.evaluation.exposure`.
    """

    recall_at_5: float
    recall_at_10: float
    recall_at_20: float
    ndcg_at_5: float
    ndcg_at_10: float
    ndcg_at_20: float
    mrr: float
    n_users: int
    more: Mapping[str, float] = field(default_factory=dict)

    def value(self, name: MetricName) -> float:
        """Return the metric of that name.

        Raises:
            KeyError: the metric has not been measured.
        """
        return self.as_dict()[name]

    def as_dict(self) -> dict[str, float]:
        """Return all metrics by name, without n_users."""
        return {name: float(getattr(self, name)) for name in STANDARD} | dict(self.more)


@dataclass(frozen=True, eq=False)
class UserMetrics:
    """Each metric for each evaluated user.

    Attributes:
        users: (m,) int64, positions in the vocabulary.
        values: name -> (m,) float64.
        shown: what the users are shown as a whole, by the names of `recsys.evaluation.exposure`;
            empty if it was not measured.
    """

    users: Ints
    values: dict[str, Floats]
    shown: Mapping[str, float] = field(default_factory=dict)

    def mean(self) -> Metrics:
        """Return the mean of each metric over the users."""
        means = {name: float(value.mean()) for name, value in self.values.items()}
        more = {name: means.pop(name) for name in list(means) if name not in STANDARD}
        return Metrics(**means, n_users=len(self.users), more={**more, **self.shown})


def half_width(mean: float, n: int, population: int) -> float:
    """Return an upper bound of the 95% error of a mean over sampled users.

    All metrics lie in [0, 1], so no metric with this mean varies by more than mean * (1 - mean).

    Args:
        mean: mean over the sampled users, in [0, 1].
        n: users drawn at random without replacement.
        population: users in total.

    Returns:
        Half the width of the interval, 1.96 * sqrt(mean * (1 - mean) / n * (1 - n / population)).
    """
    return 1.96 * math.sqrt(mean * (1 - mean) / n * (1 - n / population))


def recall(ranks: Ints, rows: Ints, n_relevant: Ints, k: int) -> Floats:
    """Return recall@k per user, (m,): |relevant in the top k| / |relevant|.

    The denominator is |relevant|, as in RecTools; lenskit and iALS (Rendle et al. 2022) divide
    by min(k, |relevant|), which gives higher values.

    Args:
        ranks: (r,) rank of each relevant item, from 1; anything above k may be any number > k.
        rows: (r,) int64, which of the m users each relevant item belongs to.
        n_relevant: (m,) relevant items of each user, > 0.
        k: cutoff of the ranking, >= 1.
    """
    return np.bincount(rows, ranks <= k, minlength=len(n_relevant)) / n_relevant


def ndcg(ranks: Ints, rows: Ints, n_relevant: Ints, k: int) -> Floats:
    """Return NDCG@k per user, (m,): DCG of the top k divided by that of an ideal ranking.

    The DCG is the sum of 1 / log2(1 + rank) over hits in the top k: gain is binary. The ideal
    ranking has min(k, |relevant|) hits (Jarvelin and Kekalainen 2002).

    Args:
        ranks: (r,) rank of each relevant item, from 1; anything above k may be any number > k.
        rows: (r,) int64, which of the m users each relevant item belongs to.
        n_relevant: (m,) relevant items of each user, > 0.
        k: cutoff of the ranking, >= 1.
    """
    gain = np.where(ranks <= k, 1 / np.log2(1.0 + ranks), 0.0)
    ideal = np.cumsum(1 / np.log2(2.0 + np.arange(k)))
    found = np.bincount(rows, gain, minlength=len(n_relevant))
    values: Floats = np.divide(found, ideal[np.minimum(k, n_relevant) - 1], dtype=np.float64)
    return values


def hit_rate(ranks: Ints, rows: Ints, n_relevant: Ints, k: int) -> Floats:
    """Return 1 per user with a relevant item in the top k, else 0, (m,).

    Args:
        ranks: (r,) rank of each relevant item, from 1; anything above k may be any number > k.
        rows: (r,) int64, which of the m users each relevant item belongs to.
        n_relevant: (m,) relevant items of each user, > 0.
        k: cutoff of the ranking, >= 1.
    """
    hits = np.bincount(rows, ranks <= k, minlength=len(n_relevant))
    return np.minimum(hits, 1.0)


def precision(ranks: Ints, rows: Ints, n_relevant: Ints, k: int) -> Floats:
    """Return precision@k per user, (m,): |relevant in the top k| / k.

    Args:
        ranks: (r,) rank of each relevant item, from 1; anything above k may be any number > k.
        rows: (r,) int64, which of the m users each relevant item belongs to.
        n_relevant: (m,) relevant items of each user, > 0.
        k: cutoff of the ranking, >= 1.
    """
    return np.bincount(rows, ranks <= k, minlength=len(n_relevant)) / k


def average_precision(ranks: Ints, rows: Ints, n_relevant: Ints, k: int) -> Floats:
    """Return the average precision@k per user, (m,), whose mean is MAP@k.

    It is the sum of precision@rank over hits in the top k, divided by |relevant|, as in RecTools;
    RecBole divides by min(k, |relevant|), which gives higher values. Relevant items that tie count
    for each other, as their ranks do.

    Args:
        ranks: (r,) rank of each relevant item, from 1; anything above k may be any number > k.
        rows: (r,) int64, which of the m users each relevant item belongs to.
        n_relevant: (m,) relevant items of each user, > 0.
        k: cutoff of the ranking, >= 1.
    """
    place = rows * (np.int64(k) + 2) + np.minimum(ranks, k + 1)
    ascending = np.sort(place)
    before = np.cumsum(n_relevant) - n_relevant  # relevant items of the users before
    up_to = np.searchsorted(ascending, place, side="right") - before[rows]
    gain = np.where(ranks <= k, up_to / ranks, 0.0)
    return np.bincount(rows, gain, minlength=len(n_relevant)) / n_relevant


def user_metrics(
    users: Ints, ranks: Ints, rows: Ints, best: Ints, names: Sequence[MetricName] = STANDARD
) -> UserMetrics:
    """Return the metrics of m users.

    Args:
        users: (m,) positions in the vocabulary.
        ranks: (r,) ranks of relevant items, exact up to the largest cut-off.
        rows: (r,) int64 in 0..m-1, the user of each relevant item; every user at least once.
        best: (m,) exact rank of each user's best relevant item; mrr is the mean of 1 / best.
        names: the metrics to return.
    """
    n_relevant = np.bincount(rows, minlength=len(users))
    values = {}
    for name in names:
        family, k = family_and_cutoff(name)
        if family == "mrr":
            values[name] = 1.0 / best
        else:
            values[name] = FORMULAS[family](ranks, rows, n_relevant, k)
    return UserMetrics(users, values)


FORMULAS = {
    "recall": recall,
    "ndcg": ndcg,
    "hit_rate": hit_rate,
    "precision": precision,
    "map": average_precision,
}

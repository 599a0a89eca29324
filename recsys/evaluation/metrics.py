"""The formulas: recall, ndcg and mrr of full rankings, per user and as means.

Common to all: the ranking holds the whole catalogue except items the user has already (see
`recsys.evaluation.evaluator`); items that nobody trained on stay candidates; the rank of a
relevant item is the number of candidates that score at least as high as it, so ties never favour
it; users without relevant items are left out, not counted as 0. All lie in [0, 1], higher is
better.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

CUTOFFS = (5, 10, 20)
MetricName = Literal[
    "recall_at_5", "recall_at_10", "recall_at_20", "ndcg_at_5", "ndcg_at_10", "ndcg_at_20", "mrr"
]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Metrics:
    """Means over `n_users` users. The field names are the names everywhere, MLflow included."""

    recall_at_5: float
    recall_at_10: float
    recall_at_20: float
    ndcg_at_5: float
    ndcg_at_10: float
    ndcg_at_20: float
    mrr: float
    n_users: int

    def value(self, name: MetricName) -> float:
        """One of them."""
        return float(getattr(self, name))

    def as_dict(self) -> dict[str, float]:
        """The seven metrics by name, without n_users."""
        values = dataclasses.asdict(self)
        del values["n_users"]
        return values


@dataclass(frozen=True, eq=False)
class UserMetrics:
    """Each metric for each evaluated user.

    Attributes:
        users: (m,) int64, positions in the vocabulary.
        values: name -> (m,) float64.
    """

    users: Ints
    values: dict[str, Floats]

    def mean(self) -> Metrics:
        means = {name: float(value.mean()) for name, value in self.values.items()}
        return Metrics(**means, n_users=len(self.users))


def half_width(mean: float, n: int, population: int) -> float:
    """At most so far lies the mean over a population from that of n drawn at random (95%).

    No metric's values vary by more than mean * (1 - mean), because all lie in [0, 1].
    """
    return 1.96 * math.sqrt(mean * (1 - mean) / n * (1 - n / population))


def recall(ranks: Ints, rows: Ints, n_relevant: Ints, k: int) -> Floats:
    """(m,): |top-k and relevant| / |relevant|.

    The denominator is |relevant|, as in RecTools; lenskit and iALS (Rendle et al. 2022) divide
    by min(k, |relevant|), which gives more.

    Args:
        ranks: (r,) rank of each relevant item, from 1; anything above k may be any number > k.
        rows: (r,) which of the m users each belongs to.
        n_relevant: (m,) > 0.
    """
    return np.bincount(rows, ranks <= k, minlength=len(n_relevant)) / n_relevant


def ndcg(ranks: Ints, rows: Ints, n_relevant: Ints, k: int) -> Floats:
    """(m,): sum of 1 / log2(1 + rank) over hits in the top k, over the same for an ideal ranking.

    Binary gain; the ideal has min(k, |relevant|) hits (Jarvelin and Kekalainen 2002).
    """
    gain = np.where(ranks <= k, 1 / np.log2(1.0 + ranks), 0.0)
    ideal = np.cumsum(1 / np.log2(2.0 + np.arange(k)))
    found = np.bincount(rows, gain, minlength=len(n_relevant))
    values: Floats = np.divide(found, ideal[np.minimum(k, n_relevant) - 1], dtype=np.float64)
    return values


def user_metrics(users: Ints, ranks: Ints, rows: Ints, best: Ints) -> UserMetrics:
    """All metrics of m users.

    Args:
        users: (m,) positions in the vocabulary.
        ranks: (r,) ranks of relevant items, exact up to 20.
        rows: (r,) in 0..m-1, every user at least once.
        best: (m,) exact rank of each user's best relevant item; mrr is the mean of 1 / best.
    """
    n_relevant = np.bincount(rows, minlength=len(users))
    values = {f"recall_at_{k}": recall(ranks, rows, n_relevant, k) for k in CUTOFFS}
    values |= {f"ndcg_at_{k}": ndcg(ranks, rows, n_relevant, k) for k in CUTOFFS}
    values["mrr"] = 1.0 / best
    return UserMetrics(users, values)

"""Rankings and metrics by brute force, written from the definitions with loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.splitting import Holdout


def relevant_of(holdout: Holdout) -> dict[int, set[int]]:
    """Relevant items of each user that has any."""
    found: dict[int, set[int]] = {}
    for user, item in zip(holdout.relevant.users, holdout.relevant.items, strict=True):
        found.setdefault(int(user), set()).add(int(item))
    return found


def rank(scores: np.ndarray, item: int, seen: set[int]) -> int:
    """How many candidates score at least as high as `item`."""
    return sum(scores[other] >= scores[item] for other in range(len(scores)) if other not in seen)


def user_metrics(scores: np.ndarray, relevant: set[int], seen: set[int]) -> dict[str, float]:
    """The standard metrics of one user from the definitions."""
    ranks = sorted(rank(scores, item, seen) for item in relevant)
    values = {"mrr": 1 / ranks[0]}
    for k in (5, 10, 20):
        hits = [place for place in ranks if place <= k]
        values[f"recall_at_{k}"] = len(hits) / len(relevant)
        ideal = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(relevant)) + 1))
        values[f"ndcg_at_{k}"] = sum(1 / math.log2(place + 1) for place in hits) / ideal
    return values


def further_metrics(
    scores: np.ndarray, relevant: set[int], seen: set[int], k: int
) -> dict[str, float]:
    """Metrics of one user with any cut-off from the definitions."""
    ranks = sorted(rank(scores, item, seen) for item in relevant)
    hits = [place for place in ranks if place <= k]
    precisions = [sum(other <= place for other in ranks) / place for place in hits]
    return {
        f"recall_at_{k}": len(hits) / len(relevant),
        f"hit_rate_at_{k}": float(len(hits) > 0),
        f"precision_at_{k}": len(hits) / k,
        f"map_at_{k}": sum(precisions) / len(relevant),
    }


def metrics(
    scores: np.ndarray, holdout: Holdout, of_user: Callable[..., dict[str, float]] = user_metrics
) -> dict[str, float]:
    """Means over users with relevant items; scores: (n_users, n_items)."""
    seen: dict[int, set[int]] = {}
    if holdout.seen.repeats == "drop":
        for user, item in zip(holdout.seen.users, holdout.seen.items, strict=True):
            seen.setdefault(int(user), set()).add(int(item))
    rows = [
        of_user(scores[user], relevant, seen.get(user, set()))
        for user, relevant in relevant_of(holdout).items()
    ]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def walks(seen: Interactions, alpha: float, beta: float) -> np.ndarray:
    """Weight of the walks from item j (row) to each other item i, from the definition."""
    pairs = {(int(user), int(item)) for user, item in zip(seen.users, seen.items, strict=True)}
    theirs = [[item for user, item in pairs if user == u] for u in range(seen.n_users)]
    rows = np.bincount([item for _, item in pairs], minlength=seen.n_items)
    weights = np.zeros((seen.n_items, seen.n_items))
    for items in theirs:
        for j in items:
            for i in items:
                if i != j:
                    chance = (rows[j] * len(items)) ** -alpha
                    weights[j, i] += chance / rows[i] ** beta
    return weights

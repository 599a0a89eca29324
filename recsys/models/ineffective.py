"""Hyperparameters that change nothing on some data, so that nobody searches or trusts them."""

from __future__ import annotations

from recsys.data import Interactions
from recsys.models.neighbours import MAX_EASE_ITEMS

_OF_TIMES = ("window_share", "target_decay", "recency", "reverse_weight")
_OF_WALKS = ("walk_alpha", "walk_beta")


def ineffective_parameters(data: Interactions) -> dict[str, str]:
    """Return, by hyperparameter without effect on this data, the reason.

    Args:
        data: the interactions; only vocabulary, times and features count, so the training rows
            give the same answer.
    """
    timed = data.times is not None
    found = {} if timed else dict.fromkeys(_OF_TIMES, "the data has no times")
    if data.item_features is None and data.user_features is None:
        found["feature_weight"] = "no features are used"
    if timed or data.n_items <= MAX_EASE_ITEMS:
        reason = "walks find neighbours only without times and above 5,000 items"
        found |= dict.fromkeys(_OF_WALKS, reason)
    return found

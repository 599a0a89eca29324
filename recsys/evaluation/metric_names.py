"""Names of metrics: which there are, and which are measured beside an objective."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain

MetricName = str
"""recall_at_K, ndcg_at_K, hit_rate_at_K, precision_at_K or map_at_K with K up to 1000, or mrr."""

CUTOFFS = (5, 10, 20)  # always measured
MAX_CUTOFF = 1000  # as many items as an answer may hold
FAMILIES = ("recall", "ndcg", "hit_rate", "precision", "map")
EXPOSURES = ("coverage", "novelty", "gini")  # of what users are shown as a whole
LIMITED = ("recall", "ndcg", *EXPOSURES)  # measured at each cut-off that is asked for
STANDARD = (
    *(f"{family}_at_{k}" for family in ("recall", "ndcg") for k in CUTOFFS),
    "mrr",
)


def _pattern(families: Iterable[str]) -> str:
    """Return the pattern of mrr and of families at any cut-off."""
    return rf"^(mrr|({'|'.join(families)})_at_([1-9][0-9]{{0,2}}|{MAX_CUTOFF}))$"


def _forms(families: Iterable[str]) -> str:
    """Return the names of families at any cut-off, for people."""
    return f"{', '.join(f'{family}_at_K' for family in families)} with K in 1..{MAX_CUTOFF}"


METRIC_PATTERN = _pattern(FAMILIES)
LIMIT_PATTERN = _pattern(LIMITED)


def check_metric(name: str) -> str:
    """Return the name of a metric.

    Raises:
        ValueError: there is no such metric; the message lists those that there are.
    """
    if re.fullmatch(METRIC_PATTERN, name) is None:
        raise ValueError(
            f"no metric {name!r}; give {_forms(FAMILIES)}, for instance recall_at_100, or mrr"
        )
    return name


def check_limited(name: str) -> str:
    """Return the name of a metric that may have a limit.

    Raises:
        ValueError: there is no such metric; the message lists those that there are.
    """
    if re.fullmatch(LIMIT_PATTERN, name) is None:
        raise ValueError(f"{name}: unknown; known: model_mb, {_forms(LIMITED)}, mrr")
    return name


def measured_names(objective: MetricName, cutoffs: Iterable[int] = ()) -> tuple[MetricName, ...]:
    """Return the standard metrics, recall and ndcg at further cut-offs, and the objective.

    Args:
        objective: the metric to maximize.
        cutoffs: cut-offs of further rankings, in 1..MAX_CUTOFF.
    """
    further = (f"{family}_at_{k}" for k in sorted(cutoffs) for family in ("recall", "ndcg"))
    return tuple(dict.fromkeys(chain(STANDARD, further, [check_metric(objective)])))


def family_and_cutoff(name: MetricName) -> tuple[str, int]:
    """Return the family of a metric and its cut-off; 1 for mrr, whose rank is always exact."""
    family, _, cutoff = name.rpartition("_at_")
    return (family, int(cutoff)) if family else (name, 1)

"""Choice of an index: for which catalogues, and with how many probes.

No property of an index is assumed: its answers are compared with the exact ones, and it is used
only if at most one item in a hundred differs.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from recsys.retrieval.index import IndexFacts, ItemIndex
from recsys.retrieval.ivf import ListSearch, sort_into_lists
from recsys.retrieval.recommender import Recommender

MIN_ITEMS = 100_000  # below, an exact answer costs less than the HTTP around it (studies/LOG.md)
TARGET = 0.99  # recall@10 against exact; below, answers stay exact
BETTER = 0.999  # recall@10 to reach while more probes are cheap
CHEAP = 10_000  # items scored in the time that the rest of an answer takes
FEWEST_PROBES = 16  # lists with as many items as there are lists, all of which are scored anyway
MOST = 1 / 8  # share of lists probed at which a busy server is as fast without an index
MOST_LISTS = 16_384
USERS, K = 1000, 10


def pays(n_items: int) -> bool:
    """Return True if a catalogue is large enough for an index."""
    return n_items >= MIN_ITEMS


def is_good_enough(index: ItemIndex) -> bool:
    """Return True if the index may replace exact answers."""
    return index.facts.recall_at_10 >= TARGET


def build_index(exact: Recommender) -> ItemIndex:
    """Return the index with the fewest probes that are good enough, else the best one.

    Cost: 26 CPU s for a million items of dim 64, and 1 GB meanwhile.

    Args:
        exact: a recommender without index; the index is compared with its answers to known users.
    """
    n = exact.n_items
    points = exact.catalogue.points()
    lists = sort_into_lists(points, n_lists(n))
    search = ListSearch(points, lists)
    del points  # 260 MB for a million items
    users = np.random.default_rng(0).permutation(len(exact.user_ids))[:USERS]
    best, _ = exact.top(users, K)
    facts = IndexFacts(len(lists.points), min(FEWEST_PROBES, len(lists.points)), 0.0, len(users))
    while True:
        found, _ = exact.behind(search, facts).top(users, K)
        facts = replace(facts, recall_at_10=recall_at_k(found, best))
        more = 2 * facts.probes
        enough = BETTER if more * n / facts.lists <= CHEAP else TARGET
        if facts.recall_at_10 >= enough or more > MOST * facts.lists:
            return ItemIndex(lists, facts)
        facts = replace(facts, probes=more)


def with_index(exact: Recommender, index: ItemIndex) -> Recommender:
    """Return the same recommender, answering through an index; takes 1 s for a million items.

    Args:
        exact: a recommender without index.
        index: lists of its items.
    """
    return exact.behind(ListSearch(exact.catalogue.points(), index.lists), index.facts)


def n_lists(n_items: int) -> int:
    """Return the number of lists: a power of two near 4 sqrt(n).

    At 4 sqrt(n), 16 lists hold as many items as there are lists.
    """
    return min(MOST_LISTS, n_items, 1 << round(math.log2(4 * math.sqrt(n_items))))


def recall_at_k(found: torch.Tensor, best: torch.Tensor) -> float:
    """Return the share of the exact search's items that the index finds, in [0, 1].

    Another item with the same score counts as found.

    Args:
        found: (b, k) float32 scores of the index's answers, descending, -inf where no item is left.
        best: (b, k) float32 scores of the exact search, likewise.
    """
    exist = best > -torch.inf
    last = torch.where(exist, best, torch.inf).amin(1, keepdim=True)
    as_good = found >= last - 1e-5 * (1 + last.abs())  # float32 sums in another order
    return int((as_good & exist).sum()) / int(exist.sum())

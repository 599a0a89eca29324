"""Whether a catalogue gets an index, and how many of its lists a question has to look into.

Nothing is assumed about an index: it is asked what the model is asked, and keeps its place only
if its answers are the exact ones, but for one item in a hundred.
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
BETTER = 0.999  # taken where it is cheap
CHEAP = 10_000  # items that are looked at in the time that the rest of an answer takes
FEWEST_PROBES = 16  # as many items as there are lists: those are looked at anyway
MOST = 1 / 8  # of all lists: there a busy server is as fast without
MOST_LISTS = 16_384
USERS, K = 1000, 10


def pays(n_items: int) -> bool:
    """Whether a catalogue is large enough for an index."""
    return n_items >= MIN_ITEMS


def is_good_enough(index: ItemIndex) -> bool:
    """Whether an index may take the place of exact answers."""
    return index.facts.recall_at_10 >= TARGET


def build_index(exact: Recommender) -> ItemIndex:
    """The index with the fewest probes that are good enough; or the best one, if none is.

    Args:
        exact: has no index; known users are asked for.

    Cost: 26 CPU s for a million items of dim 64, and 1 GB for a while.
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
    """The same recommender, answering with an index of its items; 1 s for a million of them."""
    return exact.behind(ListSearch(exact.catalogue.points(), index.lists), index.facts)


def n_lists(n_items: int) -> int:
    """A power of two near 4 sqrt(n): then lists and the items of 16 lists are as many."""
    return min(MOST_LISTS, n_items, 1 << round(math.log2(4 * math.sqrt(n_items))))


def recall_at_k(found: torch.Tensor, best: torch.Tensor) -> float:
    """Share of the exact answers' items that are found, or others with the same score.

    Args:
        found, best: (b, k) float32 scores, falling, -inf where nothing is left.
    """
    exist = best > -torch.inf
    last = torch.where(exist, best, torch.inf).amin(1, keepdim=True)
    as_good = found >= last - 1e-5 * (1 + last.abs())  # float32 sums in another order
    return int((as_good & exist).sum()) / int(exist.sum())

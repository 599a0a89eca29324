"""Item neighbours: the part of the towers that remembers pairs of items.

Vectors of a hundred numbers cannot hold which of ten thousand near-identical items goes with
which other. A short list of neighbours per item can, and it costs no training: it is computed in
closed form from the training rows alone. The lists are a second, sparse pair of towers: a user's
side holds weights of the newest items, an item's side holds its nearness to each of those items.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recsys.config import TrainConfig
from recsys.data import Floats32, Interactions, Ints64
from recsys.models.baselines import ease_weights
from recsys.models.item_graph import owned, walk_edges

DISTANCE_BITS = 4
REACH: int = 2**DISTANCE_BITS - 1  # rows after an item among which its neighbours are found
FADE = 10.0  # a pair at distance d has weight exp(-(d - 1) / FADE)
SHRINK = 5.0  # added to the denominator, because small counts of pairs may be chance
MAX_PAIRS = 15_000_000  # pairs of rows counted; larger data is sampled by user
REGULARIZATION = 200.0  # value added to the diagonal in EASE
MAX_EASE_ITEMS = 5_000  # untimed items up to which EASE is solved: some 5 CPU seconds a worker
EASE_ROWS = 512  # rows of EASE's weights handled at a time
SUMMED = 0.25  # scale of weights that a history sums; those of timed data are averaged

Floats = npt.NDArray[np.floating]
Lists = tuple[npt.NDArray[np.int32], Floats32]  # `items` and `nearness` of Neighbours


class Neighbours(nn.Module):
    """The nearest neighbours of each item, at most config.neighbours.

    Args:
        n_items: size of the catalogue.
        config: its `neighbours` and all that decides who they are.

    Attributes:
        items: (n_items, config.neighbours) int32.
        nearness: (n_items, config.neighbours) float32 >= 0, 0 where there is no neighbour. The
            nearest neighbours of all items have 1 on average, or SUMMED if scores sum over a whole
            history.
    """

    items: Tensor
    nearness: Tensor

    def __init__(self, n_items: int, config: TrainConfig) -> None:
        super().__init__()
        self._config, shape = config, (n_items, config.neighbours)
        self.register_buffer("items", torch.zeros(shape, dtype=torch.int32))
        self.register_buffer("nearness", torch.zeros(shape))

    def learn(self, seen: Interactions) -> None:
        """Replace the neighbours by those that the rows of `seen` show."""
        items, nearness = nearest(seen, self._config)
        self.items.copy_(torch.from_numpy(items))
        self.nearness.copy_(torch.from_numpy(nearness))

    def add_to(self, scores: Tensor, rows: Tensor, items: Tensor, weights: Tensor) -> None:
        """Add scores[rows_j, i] += weights_j * nearness[items_j, i] for all j and i, in place.

        Args:
            scores: (b, n_items) float32, contiguous.
            rows, items: (h,) int64; row rows_j of the scores gains from the neighbours of items_j.
            weights: (h,) float32.
        """
        position = torch.add(self.items[items], rows[:, None], alpha=scores.shape[1])
        value = weights[:, None] * self.nearness[items]
        scores.view(-1).index_add_(0, position.flatten(), value.flatten())


def nearest(seen: Interactions, config: TrainConfig) -> Lists:
    """Return neighbours and their nearness; the last results are cached for the next training.

    The nearness with times comes from items that follow soon after: it is
    count / (sqrt(rows of j * rows of i) + SHRINK), a cosine over pairs of rows, which discounts
    pairs that chance explains; pairs in the opposite order count `reverse_weight`. An item that
    people come back to is its own neighbour if the data keeps repeats. Without times, the nearness
    is the positive part of EASE's weights, or in larger catalogues the likelihood of a random walk
    from one item to the other (RP3beta).

    Args:
        seen: the training rows.
        config: the length of the lists, and which pairs count.

    Returns:
        The arrays `items` and `nearness` of `Neighbours`.
    """
    most = config.neighbours
    if seen.times is not None:
        return _following(seen, most, config.reverse_weight)
    if seen.n_items > MAX_EASE_ITEMS:
        return _walked(seen, most, config.walk_alpha, config.walk_beta)
    return _similar(seen, most)


def _scaled(lists: Lists, scale: float) -> Lists:
    """Return lists whose nearest neighbours have nearness `scale` on average."""
    items, nearness = lists
    best = nearness[:, 0][nearness[:, 0] > 0]
    return items, nearness * np.float32(scale / best.mean()) if len(best) else nearness


@lru_cache(maxsize=2)
def _following(seen: Interactions, most: int, backward: float) -> Lists:
    """Return the lists of all items by what follows them, and a part of what goes before."""
    pairs = _followers(seen)
    if backward:
        pairs = _both_ways(*pairs, seen.n_items, backward)
    return _scaled(_lists(*pairs, seen.n_items, most), 1.0)


def _both_ways(
    source: Ints64, target: Ints64, value: Floats, n: int, backward: float
) -> tuple[Ints64, Ints64, Floats]:
    """Return each pair with `backward` times its opposite added; nearness divides both alike."""
    key = np.concatenate([source * n + target, target * n + source])
    value = np.concatenate([value, backward * value])
    order = np.argsort(key, kind="stable")
    key, value = key[order], value[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    total = np.add.reduceat(value, first) if len(first) else value
    return key[first] // n, key[first] % n, total


def _followers(seen: Interactions) -> tuple[Ints64, Ints64, Floats]:
    """Return (source, target, nearness) of all pairs within REACH rows of one user."""
    users, items, n = seen.users, seen.items.astype(np.int64), seen.n_items
    most = MAX_PAIRS // REACH
    if len(items) > most:  # all rows of some users, drawn at random
        some = np.random.default_rng(0).permutation(seen.n_users)
        rows = np.diff(seen.offsets)[some].cumsum() <= most
        rows[0] = True  # the first user counts, however many rows they have
        chosen = np.isin(users, some[rows])
        users, items = users[chosen], items[chosen]
    keys = []
    for distance in range(1, REACH + 1):
        same = users[distance:] == users[:-distance]
        key = items[:-distance][same] * n + items[distance:][same]
        keys.append(key << DISTANCE_BITS | distance)
    key = np.concatenate(keys)
    del keys
    key.sort()
    weight = np.exp((1 - (key & REACH)) / FADE)
    key >>= DISTANCE_BITS
    first = np.flatnonzero(np.diff(key, prepend=-1))
    pair, count = key[first], np.add.reduceat(weight, first) if len(first) else weight
    source, target = pair // n, pair % n
    total = np.bincount(items, minlength=n)
    return source, target, count / (np.sqrt(total[source] * total[target]) + SHRINK)


@lru_cache(maxsize=2)
def _similar(seen: Interactions, most: int) -> Lists:
    """Return the lists of all items by EASE's weights.

    Items are handled EASE_ROWS at a time, because half of all pairs have a positive weight.
    """
    weights = ease_weights(seen, torch.device("cpu"), REGULARIZATION)
    parts = []
    for rows in weights.split(EASE_ROWS):
        source, target = np.nonzero(rows.numpy() > 0)
        parts.append(_lists(source, target, rows.numpy()[source, target], len(rows), most))
    items, nearness = zip(*parts, strict=True)
    return _scaled((np.concatenate(items), np.concatenate(nearness)), SUMMED)


@lru_cache(maxsize=2)
def _walked(seen: Interactions, most: int, alpha: float, beta: float) -> Lists:
    """Return the lists of all items by random walks over the users who have them."""
    parts = list(walk_edges(owned(seen), most, alpha, beta))
    source, target, likelihood = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _scaled(_lists(source, target, likelihood, seen.n_items, most), SUMMED)


def _lists(source: Ints64, target: Ints64, value: Floats, n_items: int, most: int) -> Lists:
    falling = 0x7FFFFFFF - value.astype(np.float32).view(np.int32)  # bits order positive floats
    order = np.argsort(source << 32 | falling, kind="stable")
    source, target, value = source[order], target[order], value[order]
    begins = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=n_items))])
    place = np.arange(len(source)) - begins[source]
    keep = place < most
    items = np.zeros((n_items, most), np.int32)
    nearness = np.zeros((n_items, most), np.float32)
    items[source[keep], place[keep]] = target[keep]
    nearness[source[keep], place[keep]] = value[keep]
    return items, nearness

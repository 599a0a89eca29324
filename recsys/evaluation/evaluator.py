"""Full-ranking evaluation of every scorer of the whole catalogue."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from recsys.data import Holdout, Interactions, Ints64, spans
from recsys.errors import ScoreError
from recsys.evaluation.exposure import exposure, owners, shown_cutoffs
from recsys.evaluation.metric_names import (
    STANDARD,
    MetricName,
    family_and_cutoff,
    measured_names,
)
from recsys.evaluation.metrics import UserMetrics, user_metrics
from recsys.evaluation.ranking import Ranks, ranks
from recsys.models import History, Scorer, TwoTower, gathered, to_device

# Bytes of scores in one chunk: few enough to stay in the cache from product over mask to ranks,
# enough for the product to be worth reading all item vectors.
CHUNK_BYTES = 16 << 20
# A GPU is told of each chunk's operations one by one, so it wants few chunks: this share of its
# memory, at most CARD_BYTES. All of its memory counts, free or not, so that every run is the same.
GPU_SHARE = 1 / 128
GPU_BYTES = 1 << 30
MAX_CHUNK = 8192  # users in one chunk, since their histories and neighbours take memory as well


def chunk_bytes_on(device: torch.device) -> int:
    """Return the bytes of scores in one chunk of an evaluation on a device."""
    if device.type != "cuda":
        return CHUNK_BYTES
    _, total = torch.cuda.mem_get_info(device)
    return min(GPU_BYTES, max(CHUNK_BYTES, int(total * GPU_SHARE)))


class Histories:
    """The user tower applied to whole histories in `seen`.

    The arrays keep their stored types, and only rows of the requested users are read, so a
    memory-mapped `seen` costs no copy.

    Args:
        model: its user tower encodes the histories.
        seen: the histories of all users.
    """

    def __init__(self, model: TwoTower, seen: Interactions) -> None:
        self._model, self._seen = model, seen

    def of(self, users: Tensor) -> History:
        """Return the whole histories of users (b,) int64."""
        rows = np.asarray(np.from_dlpack(users.cpu()), np.int64)
        return gathered(self._seen.items, self._seen.offsets, rows, self._model.bias.device)

    @torch.no_grad()
    def vectors(self, users: Tensor) -> Tensor:
        """Return the (b, dim) float32 vectors of users (b,) int64.

        The vector of a user is the same whichever other users are requested with it.
        """
        return self._model.user_vectors(users.to(self._model.bias.device), self.of(users))


class TowerScorer:
    """A trained model as a scorer of users by their histories in `seen`.

    Item vectors are computed once, user vectors on request; the model must not change meanwhile.
    All scores stand in one buffer: new ones for each chunk fragment the heap, which took 2 GB more
    for 10 million interactions. **Not thread-safe.**

    Args:
        model: a trained model.
        seen: the histories of all users.

    Attributes:
        model: the model given.
    """

    def __init__(self, model: TwoTower, seen: Interactions) -> None:
        self.model, self._histories = model, Histories(model, seen)
        with torch.no_grad():
            self._items = model.item_vectors().T.contiguous()
        self._bias = model.bias
        self._buffer: Tensor | None = None

    @torch.no_grad()
    def scores(self, users: Tensor) -> Tensor:
        """Return the (b, n_items) float32 scores of users (b,) int64, valid until the next call."""
        history = self._histories.of(users)
        vectors = self.model.user_vectors(users.to(self._bias.device), history)
        scores = self._product(vectors)
        self.model.add_neighbours(scores, history)
        return scores

    def _product(self, vectors: Tensor) -> Tensor:
        """Return the scores of user vectors (b, dim) without neighbours, in the buffer.

        A lone row is computed twice: for one row torch takes another product. On most processors
        the scores then have the bits of the same row among others; some differ at any size.
        """
        if len(vectors) == 1:
            return self._product(vectors.expand(2, -1))[:1]
        rows, room = len(vectors), self._buffer
        if room is None or len(room) < rows:
            room = self._buffer = self._bias.new_empty(rows, len(self._bias))
        if len(room) > rows:
            room = room[:rows]
        return torch.addmm(self._bias, vectors, self._items, out=room)


class ExcludingScorer:
    """A scorer that excludes some items from the candidates, with scores of -inf.

    Args:
        scorer: computes the scores of all items.
        items: (x,) int64, the items to exclude.
    """

    def __init__(self, scorer: Scorer, items: Tensor) -> None:
        self._scorer, self._items = scorer, items

    def scores(self, users: Tensor) -> Tensor:
        """Return the (b, n_items) float32 scores of users (b,) int64, -inf for excluded items."""
        return self._scorer.scores(users).index_fill_(1, self._items, -torch.inf)


def encode_users(model: TwoTower, seen: Interactions, rows: int = 65_536) -> Tensor:
    """Return the (n_users, dim) float32 vectors of all users by their whole histories.

    Args:
        model: its user tower encodes the histories.
        seen: the histories of all users.
        rows: users encoded at once.
    """
    tower = Histories(model, seen)
    everybody = torch.arange(seen.n_users, device=model.bias.device)
    return torch.cat([tower.vectors(users) for users in everybody.split(rows)])


class Evaluator:
    """Ranks the catalogue for every user with relevant items.

    Items in a user's `seen` rows are excluded from the candidates, unless the data keeps repeats.

    Args:
        holdout: history and relevant items; no pair may be in both (repeats aside).
        device: device of the scores, by its torch name or as a torch device.
        chunk_bytes: bytes of float32 scores computed at once; never changes a result on a CPU.
            None: what suits the device.
        names: the metrics to measure.
        shown: lengths of lists whose exposure is measured, too, see `recsys.evaluation.exposure`.
    """

    def __init__(
        self,
        holdout: Holdout,
        device: torch.device | str = "cpu",
        chunk_bytes: int | None = None,
        *,
        names: Sequence[MetricName] = STANDARD,
        shown: Sequence[int] = (),
    ) -> None:
        seen, relevant = holdout.seen, holdout.relevant
        n = self._n_items = seen.n_items
        self._mask = seen.repeats == "drop"
        pairs = np.unique(relevant.users.astype(np.int64) * n + relevant.items)
        self._users, counts = np.unique(pairs // n, return_counts=True)
        self._device, self._seen = torch.device(device), seen
        self._relevant, self._counts = pairs % n, counts
        self._ends = np.concatenate([[0], np.cumsum(counts)])
        self._names = tuple(names)
        cutoffs = [family_and_cutoff(name)[1] for name in self._names]
        self._shown = tuple(shown)
        self._k = max([*cutoffs, *self._shown])
        self._owners = owners(seen) if shown else None
        self._n_owners = int(np.count_nonzero(np.diff(seen.offsets)))
        # A high rank is found in so many scores of each relevant item; ranks up to 20 take little.
        width = max(n, math.ceil(len(pairs) / max(1, len(counts))) * (self._k - 20))
        chunk_bytes = chunk_bytes or chunk_bytes_on(self._device)
        self._chunk = max(1, min(MAX_CHUNK, chunk_bytes // (4 * width)))

    @classmethod
    def with_exposure(
        cls,
        holdout: Holdout,
        device: torch.device | str,
        objective: MetricName,
        cutoffs: Sequence[int] = (),
    ) -> Self:
        """Return the evaluator of an objective, the standard metrics and exposure.

        Args:
            holdout: history and relevant items.
            device: device of the scores.
            objective: the metric to maximize.
            cutoffs: cut-offs of further rankings and lists.
        """
        names = measured_names(objective, cutoffs)
        return cls(holdout, device, names=names, shown=shown_cutoffs(cutoffs))

    @property
    def users(self) -> Ints64:
        """Return the users with relevant items, (m,) ascending."""
        return self._users

    def evaluate(self, scorer: Scorer) -> UserMetrics:
        """Return every metric of every user with relevant items.

        Raises:
            AssertionError: an item is both in a user's history and among the user's relevant items.
            ScoreError: a candidate scores NaN, or a relevant item -inf.
        """
        found, asked, best, peaks, lists = [], [], [], [], []
        for start in range(0, len(self._users), self._chunk):
            chunk = self._chunk_ranks(scorer, slice(start, start + self._chunk))
            found.append(chunk.rank)
            asked.append(chunk.relevant)
            best.append(chunk.best)
            peaks.append(chunk.values[:, 0])
            if self._owners is not None:
                lists.append(_shown(chunk, max(self._shown)))
        # The only wait for the device: the ranks and lists of everybody, at the end.
        ranking, relevant, highest, first, *shown = (
            np.asarray(np.from_dlpack(torch.cat(each).cpu()))
            for each in (found, asked, best, peaks, lists)
            if each
        )
        if diverged := int(np.count_nonzero(np.isnan(first))):
            raise ScoreError(diverged, is_nan=True)
        ranking, highest = ranking.ravel().astype(np.int64), highest.astype(np.int64)
        if np.isneginf(relevant).any():
            raise self._without_rank(np.flatnonzero(np.isneginf(relevant)))
        whose = np.repeat(np.arange(len(self._users)), self._counts)
        metrics = user_metrics(self._users, ranking, whose, highest, self._names)
        if self._owners is None:
            return metrics
        (items,) = shown
        whole = exposure(items, self._owners, self._n_owners, self._shown)
        return dataclasses.replace(metrics, shown=whole)

    def _without_rank(self, pairs: Ints64) -> Exception:
        """Return the error for relevant items without a rank, by their positions."""
        users, items = np.repeat(self._users, self._counts)[pairs], self._relevant[pairs]
        seen = self._seen.users.astype(np.int64) * self._n_items + self._seen.items
        if self._mask and np.isin(users * self._n_items + items, seen).any():
            return AssertionError("an item is in a user's history and in the question")
        return ScoreError(len(pairs), is_nan=False)

    def _chunk_ranks(self, scorer: Scorer, rows: slice) -> Ranks:
        """Return the ranks of relevant items and the best items for rows of `users`."""
        users = self._users[rows]
        scores = scorer.scores(from_dlpack(users.copy())).contiguous()
        if self._mask:
            owner, position = spans(self._seen.offsets, users)
            masked = owner * self._n_items + self._seen.items[position]
            scores.view(-1).index_fill_(0, to_device(masked, self._device), -torch.inf)
        counts = self._counts[rows]
        owner = np.repeat(np.arange(len(users)), counts)
        begin = self._ends[rows.start]
        items = self._relevant[begin : begin + len(owner)]
        return ranks(scores, owner, items, self._k)


def _shown(found: Ranks, k: int) -> Tensor:
    """Return the best items of rows, (b, up to k) int32, -1 where no candidate is left.

    Args:
        found: what was found in the rows.
        k: longest list.
    """
    columns, values = found.columns()[:, :k], found.values[:, :k]
    return columns.masked_fill(values == -torch.inf, -1).int()

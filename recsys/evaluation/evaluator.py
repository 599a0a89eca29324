"""Full-ranking evaluation of every scorer of the whole catalogue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from recsys.data import Holdout, Interactions
from recsys.evaluation.metrics import CUTOFFS, UserMetrics, user_metrics
from recsys.evaluation.ranking import ranks
from recsys.models import History, Scorer, TwoTower, device_ranges, histories

# Bytes of scores in one chunk: few enough to stay in the cache from product over mask to ranks,
# enough for the product to be worth reading all item vectors.
CHUNK_BYTES = 16 << 20
MAX_CHUNK = 8192  # users in one chunk, since their histories and neighbours take memory as well


class Histories:
    """The user tower applied to whole histories in `seen`.

    The arrays keep their stored types, and only rows of the requested users are read, so a
    memory-mapped `seen` costs no copy.

    Args:
        model: its user tower encodes the histories.
        seen: the histories of all users.
    """

    def __init__(self, model: TwoTower, seen: Interactions) -> None:
        self._model, device = model, model.bias.device
        self._items = torch.as_tensor(seen.items, device=device)
        self._offsets = torch.as_tensor(seen.offsets, device=device)

    def of(self, users: Tensor) -> History:
        """Return the whole histories of users (b,) int64."""
        starts = self._offsets[users]
        history, _ = histories(self._items, starts, self._offsets[users + 1] - starts)
        return replace(history, items=history.items.long())

    @torch.no_grad()
    def vectors(self, users: Tensor) -> Tensor:
        """Return the (b, dim) float32 vectors of users (b,) int64.

        The vector of a user is the same whichever other users are requested with it.
        """
        return self._model.user_vectors(users, self.of(users))


class TowerScorer:
    """A trained model as a scorer of users by their histories in `seen`.

    Item vectors are computed once, user vectors on request; the model must not change meanwhile.

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
            self._bias = model.bias.detach().clone()

    @torch.no_grad()
    def scores(self, users: Tensor) -> Tensor:
        """Return the (b, n_items) float32 scores of users (b,) int64."""
        history = self._histories.of(users)
        vectors = self.model.user_vectors(users, history)
        scores = torch.addmm(self._bias, vectors, self._items)
        self.model.add_neighbours(scores, history)
        return scores


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
        device: device of the scores.
        chunk_bytes: bytes of float32 scores computed at once; never changes a result.

    Attributes:
        users: (m,) int64 users with relevant items, ascending.
    """

    def __init__(
        self, holdout: Holdout, device: torch.device, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        seen, relevant = holdout.seen, holdout.relevant
        n = self._n_items = seen.n_items
        self._mask = seen.repeats == "drop"
        pairs = np.unique(relevant.users.astype(np.int64) * n + relevant.items)
        self.users, counts = np.unique(pairs // n, return_counts=True)
        self._users = torch.as_tensor(self.users, device=device)
        self._relevant = torch.as_tensor(pairs % n, device=device)
        self._ends = torch.as_tensor(np.concatenate([[0], np.cumsum(counts)]), device=device)
        self._seen = torch.as_tensor(seen.items, device=device)
        self._seen_offsets = torch.as_tensor(seen.offsets, device=device)
        self._chunk = max(1, min(MAX_CHUNK, chunk_bytes // (4 * n)))

    def evaluate(self, scorer: Scorer) -> UserMetrics:
        """Return every metric of every user with relevant items.

        Raises:
            AssertionError: an item is both in a user's history and among the user's relevant items.
        """
        found, owners, best = [], [], []
        for start in range(0, len(self._users), self._chunk):
            rows = slice(start, min(start + self._chunk, len(self._users)))
            rank, owner, highest = self._chunk_ranks(scorer, rows)
            found.append(rank)
            owners.append(owner + start)
            best.append(highest)
        return user_metrics(
            self.users,
            torch.cat(found).cpu().numpy(),
            torch.cat(owners).cpu().numpy(),
            torch.cat(best).cpu().numpy(),
        )

    def _chunk_ranks(self, scorer: Scorer, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Return ranks, their users' rows and the users' best ranks for rows of `users`."""
        users = self._users[rows]
        scores = scorer.scores(users)
        if self._mask:
            start = self._seen_offsets[users]
            owner, position = device_ranges(start, self._seen_offsets[users + 1] - start)
            masked = owner * self._n_items + self._seen[position]
            scores.view(-1).index_fill_(0, masked, -torch.inf)
        ends = self._ends[rows.start : rows.stop + 1]
        owner = torch.repeat_interleave(ends.diff())
        relevant = self._relevant[int(ends[0]) : int(ends[-1])]
        rank, best = ranks(scores, owner, relevant, max(CUTOFFS))
        return rank, owner, best

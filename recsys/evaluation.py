"""Full-ranking evaluation of anything that can score all items for some users."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from recsys.interactions import Interactions
from recsys.metrics import CUTOFFS, UserMetrics, user_metrics
from recsys.model import TwoTower
from recsys.ranking import ranks
from recsys.split import Holdout
from recsys.windows import histories, ranges

CHUNK_BYTES = 4 << 20  # of scores at a time: they stay in the cache between product and top-k


class Scorer(Protocol):
    """Scores every item for some users."""

    def scores(self, users: Tensor) -> Tensor:
        """(b, n_items) float32 for users (b,) int64; the caller may overwrite it."""
        ...


class TowerScorer:
    """A trained model with the histories that it answers from; vectors are computed once."""

    def __init__(self, model: TwoTower, seen: Interactions) -> None:
        self.user_vectors = encode_users(model, seen)
        with torch.no_grad():
            self._items = model.item_vectors().T.contiguous()
            self._bias = model.bias.detach().clone()

    def scores(self, users: Tensor) -> Tensor:
        return torch.addmm(self._bias, self.user_vectors[users], self._items)


def encode_users(model: TwoTower, seen: Interactions, rows: int = 65_536) -> Tensor:
    """(n_users, dim) vectors of all users from their whole history in `seen`."""
    device = model.bias.device
    items = torch.as_tensor(seen.items, dtype=torch.int64, device=device)
    offsets = torch.as_tensor(seen.offsets, device=device)
    vectors = []
    with torch.no_grad():
        for users in torch.arange(seen.n_users, device=device).split(rows):
            history, _ = histories(items, offsets[users], offsets[users + 1] - offsets[users])
            vectors.append(model.user_vectors(users, history))
    return torch.cat(vectors)


class Evaluator:
    """Ranks the catalogue for every user with relevant items.

    Items in the user's `seen` rows are no candidates, unless the data keeps repeats.

    Args:
        holdout: history and question; a pair that is in both (without repeats) is an error.
        device: where scores are computed.
        chunk_bytes: float32 scores at a time; never changes a result.
    """

    def __init__(
        self, holdout: Holdout, device: torch.device, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        seen, relevant = holdout.seen, holdout.relevant
        n = self._n_items = seen.n_items
        self._mask = seen.repeats == "drop"
        pairs = np.unique(relevant.users.astype(np.int64) * n + relevant.items)
        seen_pairs = seen.users.astype(np.int64) * n + seen.items
        if self._mask and np.isin(pairs, seen_pairs).any():
            raise AssertionError("an item is in a user's history and in the question")
        owners = pairs // n
        self.users, counts = np.unique(owners, return_counts=True)
        self._users = torch.as_tensor(self.users, device=device)
        self._relevant = torch.as_tensor(pairs % n, device=device)
        self._ends = torch.as_tensor(np.concatenate([[0], np.cumsum(counts)]), device=device)
        self._seen = torch.as_tensor(seen.items, dtype=torch.int64, device=device)
        self._seen_offsets = torch.as_tensor(seen.offsets, device=device)
        self._chunk = max(1, chunk_bytes // (4 * n))

    def evaluate(self, scorer: Scorer) -> UserMetrics:
        """Every metric of every user that has relevant items."""
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
        users = self._users[rows]
        scores = scorer.scores(users)
        if self._mask:
            start = self._seen_offsets[users]
            owner, position = ranges(start, self._seen_offsets[users + 1] - start)
            scores.view(-1).index_fill_(0, owner * self._n_items + self._seen[position], -torch.inf)
        ends = self._ends[rows.start : rows.stop + 1]
        owner = torch.repeat_interleave(ends.diff())
        relevant = self._relevant[int(ends[0]) : int(ends[-1])]
        rank, best = ranks(scores, owner, relevant, max(CUTOFFS))
        return rank, owner, best

"""The thing that answers: top-k items for users, from a stored model and their whole history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from recsys.errors import RecsysError
from recsys.evaluation import CHUNK_BYTES, TowerScorer
from recsys.interactions import Interactions
from recsys.model import TwoTower
from recsys.windows import ranges

MAX_K = 1000


class RequestError(RecsysError):
    """The question cannot be answered; the message says what may be asked."""


@dataclass(frozen=True)
class Answer:
    """Items for one user, best first.

    Attributes:
        items: (item id, score); fewer than k when the user has nearly the whole catalogue.
        source: "model", or "popular" for a user that is not known.
    """

    items: tuple[tuple[str, float], ...]
    source: Literal["model", "popular"]


class Recommender:
    """Exact top-k over the catalogue; items in a user's history are left out.

    With repeats nothing is left out: people come back to items.

    Args:
        model: its item vectors and all user vectors are computed once, here.
        history: what the user tower sees and what is left out; ids come from here.
        chunk_bytes: float32 scores at a time; never changes an answer.
    """

    def __init__(
        self, model: TwoTower, history: Interactions, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        device = model.bias.device
        self._scorer = TowerScorer(model, history)
        self._device = device
        self._mask = history.repeats == "drop"
        self._items = torch.as_tensor(history.items, dtype=torch.int64, device=device)
        self._offsets = torch.as_tensor(history.offsets, device=device)
        self._item_ids = history.item_ids
        self._positions = {user_id: i for i, user_id in enumerate(history.user_ids)}
        counts = np.bincount(history.items, minlength=history.n_items)
        best = np.argsort(-counts, kind="stable")[:MAX_K]
        self._popular = self._named(counts[best].tolist(), best.tolist())
        self._chunk = max(1, chunk_bytes // (4 * history.n_items))

    def recommend(self, user_ids: Sequence[str], k: int = 10) -> list[Answer]:
        """The k best new items of each user, in the order of `user_ids`.

        Unknown users get the items with the most rows in the history, ties in the order of the
        vocabulary; their scores are these counts.

        Raises:
            RequestError: k is no integer in 1..1000.
        """
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:
            raise RequestError(f"k={k!r}: must be an integer in 1..{MAX_K}")
        positions = [self._positions.get(user_id) for user_id in user_ids]
        known = torch.tensor([p for p in positions if p is not None], dtype=torch.int64)
        answers = iter(self._answers(known, k))
        popular = Answer(self._popular[:k], "popular")
        return [popular if position is None else next(answers) for position in positions]

    def _answers(self, users: Tensor, k: int) -> list[Answer]:
        found: list[Answer] = []
        for chunk in users.to(self._device).split(self._chunk):
            scores = self._scorer.scores(chunk)  # (b, n_items)
            if self._mask:
                start = self._offsets[chunk]
                owner, position = ranges(start, self._offsets[chunk + 1] - start)
                seen = owner * len(self._item_ids) + self._items[position]
                scores.view(-1).index_fill_(0, seen, -torch.inf)
            best = torch.topk(scores, min(k, scores.shape[1]), dim=1)
            rows = zip(best.values.tolist(), best.indices.tolist(), strict=True)
            found += [Answer(self._named(values, items), "model") for values, items in rows]
        return found

    def _named(self, values: list[float], items: list[int]) -> tuple[tuple[str, float], ...]:
        pairs = zip(items, values, strict=True)
        return tuple((self._item_ids[item], value) for item, value in pairs if value > -torch.inf)

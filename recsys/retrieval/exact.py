"""All items, ready to be scored for some users: exact top-k by one product."""

from __future__ import annotations

import threading

import numpy as np
import torch
from torch import Tensor

from recsys.data.interactions import Floats32, Ints64
from recsys.evaluation.evaluator import MAX_CHUNK
from recsys.evaluation.ranking import top_items
from recsys.models.two_tower import TwoTower
from recsys.retrieval.neighbour_queries import Asks


class Catalogue:
    """The item side of a model. Nothing in it changes, so any number of threads may ask it.

    Args:
        model: its item vectors are computed once, here.
        chunk_bytes: float32 scores at a time; never changes an answer.

    Attributes:
        n_items: how many.
        chunk: users that may be asked for at a time.
    """

    def __init__(self, model: TwoTower, chunk_bytes: int) -> None:
        self.n_items = n = model.n_items
        with torch.no_grad():
            self._vectors = model.item_vectors().T.contiguous()  # (dim, n_items)
            self._bias = model.bias.detach().clone()
        neighbours = model.neighbours
        self._near = None if neighbours is None else neighbours.nearness.cpu().numpy()
        self._neighbours = None if neighbours is None else neighbours.items.cpu().numpy()
        self._rooms = threading.local()
        self.chunk = max(1, min(MAX_CHUNK, chunk_bytes // (4 * n)))

    @torch.no_grad()
    def best(self, vectors: Tensor, asks: Asks, hidden: Ints64, k: int) -> tuple[Tensor, Tensor]:
        """The k best items of b users.

        Args:
            vectors: (b, dim) float32.
            asks: what their neighbours add.
            hidden: (x,), row * n_items + item for everything that may not be answered.
            k: at least 1.

        Returns:
            (b, min(k, n_items)) float32 scores, falling, -inf where nothing is left, and int64
            items.
        """
        scores = self._room(len(vectors))
        torch.addmm(self._bias, vectors, self._vectors, out=scores)
        flat = scores.view(-1)
        position, value = self.gains(asks)
        if len(position):
            flat.index_add_(0, self._there(position), self._there(value))
        flat.index_fill_(0, self._there(hidden), -torch.inf)
        return top_items(scores, k)

    def gains(self, asks: Asks) -> tuple[Ints64, Floats32]:
        """What neighbours add: (m,) row * n_items + item, some of them twice, and how much."""
        if self._neighbours is None or self._near is None or not len(asks.rows):
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        position = (asks.rows * self.n_items)[:, None] + self._neighbours[asks.items]
        value = asks.weights[:, None] * self._near[asks.items]
        return position.ravel(), value.ravel()

    def points(self) -> Floats32:
        """(n_items, dim + 1): vector and bias of each item, a copy in memory of the CPU."""
        found: Floats32 = torch.column_stack([self._vectors.T, self._bias]).cpu().numpy()
        return found

    def _there(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self._bias.device)

    def _room(self, b: int) -> Tensor:
        """(b, n_items) float32, this thread's own until it asks again.

        Fresh memory would cost a page fault for each 4 KB: at 1M items a third of the time.
        """
        room: Tensor | None = getattr(self._rooms, "room", None)
        if room is None or len(room) < b:
            room = self._rooms.room = torch.empty(b, self.n_items, device=self._bias.device)
        return room[:b]

"""Exact top-k over the whole catalogue by one matrix product."""

from __future__ import annotations

import threading

import numpy as np
import torch
from torch import Tensor

from recsys.data import Floats32, Ints64
from recsys.evaluation import MAX_CHUNK, top_items
from recsys.models import TwoTower
from recsys.retrieval.neighbour_queries import NeighbourQueries


class Catalogue:
    """The item side of a model. It never changes, so any number of threads may share it.

    Args:
        model: its item vectors are computed once, at construction.
        chunk_bytes: bytes of float32 scores computed at once; never changes an answer.

    Attributes:
        n_items: size of the catalogue.
        chunk: users that may be answered at once.
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
    def best(
        self, vectors: Tensor, asks: NeighbourQueries, hidden: Ints64, k: int
    ) -> tuple[Tensor, Tensor]:
        """Return the k best items of b users.

        Args:
            vectors: (b, dim) float32.
            asks: the neighbour queries of the users.
            hidden: (x,) row * n_items + item of every item that must not be answered.
            k: at least 1.

        Returns:
            (b, min(k, n_items)) float32 scores, descending, -inf where no item is left, and int64
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

    def gains(self, asks: NeighbourQueries) -> tuple[Ints64, Floats32]:
        """Return the score gains from neighbours.

        Returns:
            ((m,) int64 keys row * n_items + item, possibly repeated, (m,) float32 gains).
        """
        if self._neighbours is None or self._near is None or not len(asks.rows):
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        position = (asks.rows * self.n_items)[:, None] + self._neighbours[asks.items]
        value = asks.weights[:, None] * self._near[asks.items]
        return position.ravel(), value.ravel()

    @torch.no_grad()
    def similar(self, item: int, hidden: Ints64, k: int) -> tuple[Tensor, Tensor]:
        """Return the k items with the highest cosine between their vectors and an item's.

        Args:
            item: position of the item.
            hidden: (x,) items that must not be answered.
            k: at least 1.

        Returns:
            (min(k, n_items),) float32 cosines, descending, -inf where no item is left, and int64
            items.
        """
        vector = self._vectors[:, item]
        norms = torch.linalg.vector_norm(self._vectors, dim=0).clamp_min(torch.finfo().tiny)
        cosines = (vector @ self._vectors / (norms * norms[item])).unsqueeze(0)
        cosines.nan_to_num_(0.0)  # of two items without a vector
        cosines.view(-1).index_fill_(0, self._there(hidden), -torch.inf)
        values, items = top_items(cosines, k)
        return values[0], items[0]

    def points(self) -> Floats32:
        """Return each item's vector and bias, (n_items, dim + 1) float32, copied to the CPU."""
        found: Floats32 = torch.column_stack([self._vectors.T, self._bias]).cpu().numpy()
        return found

    def _there(self, values: np.ndarray) -> Tensor:
        """Return an array as a tensor on the model's device."""
        return torch.from_numpy(values).to(self._bias.device)

    def _room(self, b: int) -> Tensor:
        """Return a (b, n_items) float32 buffer that belongs to this thread until its next call.

        Fresh memory would cost a page fault for each 4 KB: at 1M items a third of the time.
        """
        room: Tensor | None = getattr(self._rooms, "room", None)
        if room is None or len(room) < b:
            room = self._rooms.room = torch.empty(b, self.n_items, device=self._bias.device)
        return room[:b]

"""The two towers. score = <user vector, item vector> + item bias, so items can be indexed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.config import TrainConfig
from recsys.windows import History


class TwoTower(nn.Module):
    """A user is the pooled items of their history plus an embedding of their own.

        user = normalize(recent + mix * whole + user_weight * embedding[user]) / temperature
        recent = sum_i exp(-age_i / recency) * A[item_i] / sum_i exp(-age_i / recency)
        whole = sum_i B[item_i] / n ** history_power
        item = normalize(C[item])

    Users without history or embedding get the zero vector: their scores are the item biases,
    which is popularity as the loss learned it.

    Args:
        n_users, n_items: sizes of the vocabularies.
        config: dim and the shape of the pools.
        ordered: whether histories have an order. If not, every age counts as 0.
    """

    def __init__(self, n_users: int, n_items: int, config: TrainConfig, *, ordered: bool) -> None:
        super().__init__()
        self.config, self.ordered = config, ordered
        self.n_users, self.n_items = n_users, n_items
        self.recent_items = nn.Parameter(torch.empty(n_items, config.dim))
        self.whole_items = nn.Parameter(torch.empty(n_items, config.dim))
        self.users = nn.Parameter(torch.empty(n_users, config.dim))
        self.items = nn.Parameter(torch.empty(n_items, config.dim))
        self.bias = nn.Parameter(torch.zeros(n_items))

    def initialize(self, generator: torch.Generator) -> None:
        """Draw the weights; `generator` lives on the CPU, so every device starts the same."""
        with torch.no_grad():
            for table in (self.recent_items, self.whole_items, self.users, self.items):
                noise = torch.randn(table.shape, generator=generator)
                table.copy_(noise * self.config.dim**-0.5)

    def user_vectors(
        self, users: Tensor | None, history: History, keep: Tensor | None = None
    ) -> Tensor:
        """(b, dim) float32, divided by the temperature.

        Args:
            users: (b,) int64, or None for users that nobody has trained on.
            history: their items.
            keep: (h,) float32 of 0 and 1, history items that survive dropout; None: all.
        """
        whole_weights = torch.ones_like(history.ages) if keep is None else keep
        recent_weights = whole_weights
        if self.ordered:
            recent_weights = torch.exp(history.ages / -self.config.recency) * whole_weights
        recent, recent_total = self._pool(self.recent_items, history, recent_weights)
        whole, n_kept = self._pool(self.whole_items, history, whole_weights)
        vectors = recent / recent_total.clamp_min(1e-6)[:, None]
        power = n_kept.clamp_min(1).pow(-self.config.history_power)
        vectors = vectors + whole * (self.config.mix * power)[:, None]
        if users is not None:
            own = functional.embedding(users, self.users)
            vectors = vectors + self.config.user_weight * own
        return functional.normalize(vectors, dim=1) / self.config.temperature

    def item_vectors(self) -> Tensor:
        """(n_items, dim) float32 of length 1."""
        return functional.normalize(self.items, dim=1)

    @staticmethod
    def _pool(table: Tensor, history: History, weights: Tensor) -> tuple[Tensor, Tensor]:
        """(b, dim) weighted sums of rows of `table`, and the (b,) sums of weights."""
        pooled = functional.embedding_bag(
            history.items, table, history.starts, mode="sum", per_sample_weights=weights
        )
        owner = torch.repeat_interleave(history.lengths)
        total = torch.zeros(len(history.lengths), device=weights.device)
        return pooled, total.index_add_(0, owner, weights)

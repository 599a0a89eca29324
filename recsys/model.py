"""The two towers. score = <user vector, item vector> + item bias, so items can be indexed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.config import TrainConfig
from recsys.windows import History

# Item vectors have length 1 whatever their weights' scale, so a small start only makes the first
# steps turn them faster: items point where their users are before noise can settle.
ITEM_SCALE = 0.1


class _Pool(torch.autograd.Function):
    """Weighted sums of history items over two tables; the backward pass sorts the items once."""

    @staticmethod
    def forward(
        ctx: Any,
        recent: Tensor,
        whole: Tensor,
        weights: Tensor,
        items: Tensor,
        starts: Tensor,
        owner: Tensor,
    ) -> Tensor:
        """(b, dim) from tables (n, dim), weights (2, h), items (h,), starts (b,), owner (h,)."""
        ctx.save_for_backward(weights, items, owner)
        ctx.n_items = len(recent)
        return _bags(items, recent, starts, weights[0]) + _bags(items, whole, starts, weights[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weights, items, owner = ctx.saved_tensors
        # The transpose of a bag of items per user is a bag of users per item.
        order = torch.argsort(items)
        counts = torch.bincount(items, minlength=ctx.n_items)
        starts, users, weights = torch.cumsum(counts, 0) - counts, owner[order], weights[:, order]
        recent, whole = (_bags(users, grads[0], starts, weight) for weight in weights)
        return recent, whole, None, None, None, None


class _UnitRows(torch.autograd.Function):
    """Rows of length 1. Autograd's own chain walks the table a dozen times, this one four."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min_(1e-12)
        unit: Tensor = rows / length
        ctx.save_for_backward(unit, length)
        return unit

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        unit, length = ctx.saved_tensors
        along = torch.linalg.vecdot(grads[0], unit)[:, None]
        across: Tensor = torch.addcmul(grads[0], unit, along, value=-1) / length
        return across


def _bags(rows: Tensor, table: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    return functional.embedding_bag(rows, table, starts, mode="sum", per_sample_weights=weights)


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
        ordered: whether histories have an order. If not, every age counts as 0 and A serves for
            B too: two pools of equal weights need no two tables, one generalises better.
    """

    whole_items: nn.Parameter | None

    def __init__(self, n_users: int, n_items: int, config: TrainConfig, *, ordered: bool) -> None:
        super().__init__()
        self.config, self.ordered = config, ordered
        self.n_users, self.n_items = n_users, n_items
        self.recent_items = nn.Parameter(torch.empty(n_items, config.dim))
        whole_items = nn.Parameter(torch.empty(n_items, config.dim)) if ordered else None
        self.register_parameter("whole_items", whole_items)
        self.users = nn.Parameter(torch.empty(n_users, config.dim))
        self.items = nn.Parameter(torch.empty(n_items, config.dim))
        self.bias = nn.Parameter(torch.zeros(n_items))

    def initialize(self, generator: torch.Generator) -> None:
        """Draw the weights; `generator` lives on the CPU, so every device starts the same.

        User embeddings start at zero and stay there for users that nobody trains on: noise in
        their place would be all that a user without history is served from.
        """
        tables = [(self.recent_items, 1.0), (self.items, ITEM_SCALE)]
        if self.whole_items is not None:
            tables.insert(1, (self.whole_items, 1.0))
        with torch.no_grad():
            self.users.zero_()
            for table, scale in tables:
                noise = torch.randn(table.shape, generator=generator)
                table.copy_(noise * (scale * self.config.dim**-0.5))

    def part(self, rows: Mapping[str, Tensor]) -> TwoTower:
        """The towers over some rows of some tables: what one training step needs of them.

        Args:
            rows: name of a table -> (r,) int64 rows, copied; row i of the part is row rows[i].
                Other tables are shared.
        """
        part = TwoTower(0, 0, self.config, ordered=self.ordered)
        for name, table in self.named_parameters():
            chosen = nn.Parameter(table.detach()[rows[name]]) if name in rows else table
            part.register_parameter(name, chosen)
        part.n_users, part.n_items = len(part.users), len(part.items)
        return part

    def user_vectors(
        self, users: Tensor | None, history: History, keep: Tensor | None = None
    ) -> Tensor:
        """(b, dim) float32, divided by the temperature.

        Args:
            users: (b,) int64, or None for users that nobody has trained on.
            history: their items.
            keep: (h,) float32 of 0 and 1, history items that survive dropout; None: all.
        """
        owner = torch.repeat_interleave(history.lengths)
        weights = self._pool_weights(history, owner, keep)
        whole_items = self.recent_items if self.whole_items is None else self.whole_items
        vectors: Tensor = _Pool.apply(  # type: ignore[no-untyped-call]
            self.recent_items, whole_items, weights, history.items, history.starts, owner
        )
        if users is not None:
            own = functional.embedding(users, self.users)
            vectors = torch.add(vectors, own, alpha=self.config.user_weight)
        unit: Tensor = _UnitRows.apply(vectors)  # type: ignore[no-untyped-call]
        return unit / self.config.temperature

    def _pool_weights(self, history: History, owner: Tensor, keep: Tensor | None) -> Tensor:
        """(2, h): what each history item counts in the recent and in the whole pool."""
        whole = torch.ones_like(history.ages) if keep is None else keep
        recent = torch.exp(history.ages / -self.config.recency) * whole if self.ordered else whole
        weights = torch.stack([recent, whole])
        empty = torch.zeros(2, len(history.lengths), device=weights.device)
        total, n_kept = empty.index_add_(1, owner, weights)
        power = n_kept.clamp_min(1).pow(-self.config.history_power)
        scale = torch.stack([total.clamp_min(1e-6).reciprocal(), self.config.mix * power])
        return weights * scale[:, owner]

    def item_vectors(self) -> Tensor:
        """(n_items, dim) float32 of length 1."""
        unit: Tensor = _UnitRows.apply(self.items)  # type: ignore[no-untyped-call]
        return unit

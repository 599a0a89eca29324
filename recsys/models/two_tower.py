"""The two towers: score = <user vector, item vector> + item bias + score of item neighbours."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.config import TrainConfig
from recsys.data import Features, Interactions
from recsys.models.autograd import Pool, UnitRows
from recsys.models.feature_bags import Bags
from recsys.models.history import History
from recsys.models.neighbours import Neighbours, has_neighbours

# Item vectors have length 1 whatever the scale of the weights. A small initial scale lets the first
# steps turn items faster towards their users, before noise can settle.
ITEM_SCALE = 0.1
# With user features a vector v becomes v / sqrt(|v|^2 + SOFT^2), not v / |v|: a user with faint
# features alone gets a short vector, so popularity counts more.
SOFT = 0.3
NEWEST = 10  # neighbours of so many newest items gain scores, if histories have an order


class TwoTower(nn.Module):
    """The two-tower model: a user is their pooled history items plus an embedding of their own.

        user = normalize(recent + mix * whole + user_weight * embedding[user]) / temperature
        recent = sum_i exp(-age_i / recency) * A[item_i] / sum_i exp(-age_i / recency)
        whole = sum_i B[item_i] / n ** history_power
        item = normalize(C[item])

    Features, if the data has any, add the sum of their embeddings (feature_bags.py) before the
    vectors are normalized: times feature_weight to C[item], times feature_weight / (1 + n) to the
    user, because features say less about a user with a longer history.

    The sparse side of the two vectors (neighbours.py) adds to a user's scores

        neighbour_weight * sum_i weight_i * nearness[item_i]

    with the weights of the recent pool over the newest items; data without order takes the weights
    of the whole pool instead.

    Users without history, embedding or features get the zero vector: their scores are the item
    biases, which is popularity as the loss learned it.

    Args:
        n_users, n_items: sizes of the vocabularies.
        config: dim and the shape of the pools.
        ordered: True if histories have an order. Otherwise every age counts as 0 and A serves for
            B too: two pools of equal weights need no two tables, and one table generalises better.
        item_features, user_features: features of all items and users, or None.
    """

    whole_items: nn.Parameter | None
    users: nn.Parameter | None
    item_features: nn.Parameter | None
    user_features: nn.Parameter | None
    item_bags: Bags | None
    user_bags: Bags | None
    neighbours: Neighbours | None

    def __init__(
        self,
        n_users: int,
        n_items: int,
        config: TrainConfig,
        *,
        ordered: bool,
        item_features: Features | None = None,
        user_features: Features | None = None,
    ) -> None:
        super().__init__()
        self.config, self.ordered = config, ordered
        self.n_users, self.n_items = n_users, n_items
        self.recent_items = nn.Parameter(torch.empty(n_items, config.dim))
        whole_items = nn.Parameter(torch.empty(n_items, config.dim)) if ordered else None
        self.register_parameter("whole_items", whole_items)
        users = nn.Parameter(torch.empty(n_users, config.dim)) if config.user_weight else None
        self.register_parameter("users", users)
        self.items = nn.Parameter(torch.empty(n_items, config.dim))
        self.bias = nn.Parameter(torch.zeros(n_items))
        for side, features in (("item", item_features), ("user", user_features)):
            table = None if features is None else torch.empty(features.n_codes, config.dim)
            parameter = None if table is None else nn.Parameter(table)
            self.register_parameter(f"{side}_features", parameter)
            self.register_module(f"{side}_bags", None if features is None else Bags.of(features))

        remembers = config.neighbour_weight > 0 and has_neighbours(n_items, ordered=ordered)
        self.register_module("neighbours", Neighbours(n_items) if remembers else None)

    def initialize(self, generator: torch.Generator) -> None:
        """Draw the initial weights.

        User embeddings, if there are any, start at zero and stay zero for users without training
        rows: noise in their place would decide what a user without history is served.

        Args:
            generator: a generator on the CPU, so that every device starts with the same weights.
        """
        tables = [(self.recent_items, 1.0), (self.items, ITEM_SCALE)]
        if self.whole_items is not None:
            tables.insert(1, (self.whole_items, 1.0))
        if self.item_features is not None:  # not zero: zero has no direction, so no gradient
            tables.append((self.item_features, ITEM_SCALE))
        with torch.no_grad():
            for zero in (self.users, self.user_features):
                if zero is not None:
                    zero.zero_()
            for table, scale in tables:
                noise = torch.randn(table.shape, generator=generator)
                table.copy_(noise * (scale * self.config.dim**-0.5))

    @torch.no_grad()
    def leave_to_features(self, items: Tensor) -> None:
        """Set the embeddings of some items to zero, so that their features alone describe them.

        Items without training rows would keep their initial noise, which drowns the features.

        Args:
            items: (r,) int64.
        """
        for table in (self.recent_items, self.whole_items, self.items):
            if table is not None:
                table.index_fill_(0, items, 0.0)

    def part(self, rows: Mapping[str, Tensor]) -> TwoTower:
        """Return the towers over some rows of some tables, the part that one training step needs.

        Args:
            rows: name of a table -> (r,) int64 rows, which are copied; row i of the part is row
                rows[i] of the table. Other tables are shared.
        """
        part = TwoTower(0, 0, self.config, ordered=self.ordered)
        for name, table in self.named_parameters():
            chosen = nn.Parameter(table.detach()[rows[name]]) if name in rows else table
            part.register_parameter(name, chosen)
        part.n_items = len(part.items)
        part.n_users = self.n_users if part.users is None else len(part.users)
        for of, bags in (("items", self.item_bags), ("users", self.user_bags)):
            chosen_bags = bags.take(rows[of]) if bags is not None and of in rows else bags
            part.register_module(f"{of[:-1]}_bags", chosen_bags)
        return part

    def user_vectors(
        self, users: Tensor | None, history: History, keep: Tensor | None = None
    ) -> Tensor:
        """Return the vectors of b users, divided by the temperature.

        Args:
            users: (b,) int64, or None for users without training rows.
            history: the users' items.
            keep: (h,) float32 of 0 and 1, 1 for history items that survive dropout; None keeps all.

        Returns:
            (b, dim) float32.
        """
        owner = torch.repeat_interleave(history.lengths)
        weights = self._pool_weights(history, owner, keep)
        whole_items = self.recent_items if self.whole_items is None else self.whole_items
        vectors: Tensor = Pool.apply(  # type: ignore[no-untyped-call]
            self.recent_items, whole_items, weights, history.items, history.starts, owner
        )
        if users is not None and self.users is not None:
            own = functional.embedding(users, self.users)
            vectors = torch.add(vectors, own, alpha=self.config.user_weight)
        if self.user_bags is None or self.user_features is None:
            unit: Tensor = UnitRows.apply(vectors)  # type: ignore[no-untyped-call]
            return unit / self.config.temperature
        if users is not None:
            bags = self.user_bags.take(users).sums(self.user_features)
            fading = self.config.feature_weight / (1 + history.lengths)
            vectors = vectors + bags * fading[:, None]
        length = vectors.square().sum(1, keepdim=True).add(SOFT**2).sqrt()
        return vectors / (length * self.config.temperature)

    def add_neighbours(self, scores: Tensor, history: History) -> None:
        """Add the scores of item neighbours to the scores of b users, in place.

        Args:
            scores: (b, n_items) float32, contiguous.
            history: the users' items.
        """
        if self.neighbours is not None:
            self.neighbours.add_to(scores, *self.asking(history))

    def asking(self, history: History) -> tuple[Tensor, Tensor, Tensor]:
        """Return the history items whose neighbours gain scores for b users, with weights.

        Args:
            history: the users' items.

        Returns:
            ((m,) int64 index of the user, (m,) int64 item, (m,) float32 weight).
        """
        rows, items = torch.repeat_interleave(history.lengths), history.items
        if self.ordered:
            newest = torch.nonzero(history.ages < NEWEST).flatten()
            rows, items = rows[newest], items[newest]
            weights = torch.exp(history.ages[newest] / -self.config.recency)
            total = torch.zeros(len(history.lengths), device=rows.device)
            weights = weights / total.index_add_(0, rows, weights)[rows]
        else:
            weights = history.lengths.pow(-self.config.history_power)[rows]
        return rows, items, weights * self.config.neighbour_weight

    def _pool_weights(self, history: History, owner: Tensor, keep: Tensor | None) -> Tensor:
        """Return the (2, h) weights of each history item in the recent and in the whole pool."""
        whole = torch.ones_like(history.ages) if keep is None else keep
        recent = torch.exp(history.ages / -self.config.recency) * whole if self.ordered else whole
        weights = torch.stack([recent, whole])
        empty = torch.zeros(2, len(history.lengths), device=weights.device)
        total, n_kept = empty.index_add_(1, owner, weights)
        power = n_kept.clamp_min(1).pow(-self.config.history_power)
        scale = torch.stack([total.clamp_min(1e-6).reciprocal(), self.config.mix * power])
        return weights * scale[:, owner]

    def item_vectors(self, keep: Tensor | None = None) -> Tensor:
        """Return the vectors of all items.

        Args:
            keep: (n_items,) float32 of 0 and 1, 0 drops an item's own embedding; None keeps all.

        Returns:
            (n_items, dim) float32 of length 1, or 0 for items with neither embedding nor features.
        """
        items = self.items if keep is None else self.items * keep[:, None]
        if self.item_bags is not None and self.item_features is not None:
            bags = self.item_bags.sums(self.item_features)
            items = torch.add(items, bags, alpha=self.config.feature_weight)
        unit: Tensor = UnitRows.apply(items)  # type: ignore[no-untyped-call]
        return unit


def new_model(seen: Interactions, config: TrainConfig, device: torch.device) -> TwoTower:
    """Return an uninitialized model of the right shape for the data.

    Args:
        seen: the training rows, with features if there are any.
        config: hyperparameters.
        device: device of the model.
    """
    model = TwoTower(
        seen.n_users,
        seen.n_items,
        config,
        ordered=seen.times is not None,
        item_features=seen.item_features,
        user_features=seen.user_features,
    )
    return model.to(device)

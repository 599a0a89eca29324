"""The two towers: score = <user vector, item vector> + item bias + score of item neighbours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recsys.config import TrainConfig
from recsys.data import Features, Interactions
from recsys.models.feature_bags import Bags
from recsys.models.history import History, newest_of
from recsys.models.neighbours import Neighbours
from recsys.models.pooling import Pooling, pool_weights
from recsys.models.towers import Towers

# Item vectors have length 1 whatever the scale of the weights. A small initial scale lets the first
# steps turn items faster towards their users, before noise can settle.
ITEM_SCALE = 0.1


class TwoTower(nn.Module):
    """The two-tower model: a user is their pooled history items plus an embedding of their own.

        user = normalize(recent + mix * whole + user_weight * embedding[user]) / temperature
        recent = sum_i exp(-age_i / recency) * A[item_i] / sum_i exp(-age_i / recency)
        whole = sum_i B[item_i] / n ** history_power
        item = normalize(C[item])

    Features, if the data has any, add the sum of their embeddings (feature_bags.py; of dense
    vectors a linear projection) before the vectors are normalized: times feature_weight to C[item],
    times feature_weight / (1 + n) to the user, because features say less about a user with a longer
    history.

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
            table = None if features is None else torch.empty(features.n_embeddings, config.dim)
            parameter = None if table is None else nn.Parameter(table)
            self.register_parameter(f"{side}_features", parameter)
            self.register_module(f"{side}_bags", None if features is None else Bags.of(features))

        remembers = config.neighbour_weight > 0
        self.register_module("neighbours", Neighbours(n_items, config) if remembers else None)

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

    def towers(self) -> Towers:
        """Return the two towers over this model's own tables, which they share."""
        return Towers(dict(self.named_parameters()), self.config, self.item_bags, self.user_bags)

    def user_vectors(self, users: Tensor | None, history: History) -> Tensor:
        """Return the vectors of b users, divided by the temperature.

        Args:
            users: (b,) int64, or None for users without training rows.
            history: the users' items.

        Returns:
            (b, dim) float32.
        """
        weights = pool_weights(history, self.config, ordered=self.ordered)
        pooling = Pooling(history.items, history.starts, *weights)
        return self.towers().user_vectors(users, pooling, history.lengths)

    def item_vectors(self) -> Tensor:
        """Return the vectors of all items.

        Returns:
            (n_items, dim) float32 of length 1, or 0 for items with neither embedding nor features.
        """
        return self.towers().item_vectors()

    def add_neighbours(self, scores: Tensor, history: History) -> None:
        """Add the scores of item neighbours to the scores of b users, in place.

        Args:
            scores: (b, n_items) float32, contiguous.
            history: the users' items.
        """
        if self.neighbours is not None:
            self.neighbours.add_to(scores, *self.neighbour_queries(history))

    def neighbour_queries(self, history: History) -> tuple[Tensor, Tensor, Tensor]:
        """Return the history items whose neighbours gain scores for b users, with weights.

        Args:
            history: the users' items.

        Returns:
            ((m,) int64 index of the user, (m,) int64 item, (m,) float32 weight).
        """
        rows, items = history.owner, history.items
        if self.ordered:
            newest = history.newest or newest_of(history)
            rows, items = newest.owner, newest.items
            weights = torch.exp(newest.ages / -self.config.recency)
            total = torch.zeros(len(history.lengths), device=rows.device)
            weights = weights / total.index_add_(0, rows, weights)[rows]
        else:
            weights = history.lengths.pow(-self.config.history_power)[rows]
        return rows, items, weights * self.config.neighbour_weight


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

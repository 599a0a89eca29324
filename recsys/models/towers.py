"""The arithmetic of the two towers over tables of weights, whole or in part.

An encoder is changed or added here, and its tables in `two_tower.py`. A study of another model than
the two-tower has `trainable`, see docs/own_model.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from recsys.config import TrainConfig
from recsys.models.autograd import pooled, unit_rows
from recsys.models.feature_bags import Bags
from recsys.models.pooling import Pooling

# With user features a vector v becomes v / sqrt(|v|^2 + SOFT^2), not v / |v|: a user with faint
# features alone gets a short vector, so popularity counts more.
SOFT = 0.3


@dataclass(frozen=True)
class Towers:
    """Both towers without the bookkeeping of a module, as one training step wants them.

    Attributes:
        tables: the weights by the names of `recsys.models.two_tower.TwoTower`.
        config: dim and the shape of the pools.
        item_bags: features of the rows of the table "items", or None.
        user_bags: features of the rows of the table "users", or None.
    """

    tables: Mapping[str, Tensor]
    config: TrainConfig
    item_bags: Bags | None
    user_bags: Bags | None

    @property
    def bias(self) -> Tensor:
        """Return the item biases, (n_items,) float32."""
        return self.tables["bias"]

    def part(self, rows: Mapping[str, Tensor]) -> Towers:
        """Return the towers over some rows of some tables, as one training step needs them.

        Args:
            rows: name of a table -> (r,) int64 rows, which are copied; row i of the part is row
                rows[i] of the table. Tables without an entry are shared with the part.
        """
        with torch.no_grad():
            copied = {name: self.tables[name].index_select(0, some) for name, some in rows.items()}
        for table in copied.values():
            table.requires_grad_()
        item_bags, user_bags = (
            bags.take(rows[name]) if bags is not None and name in rows else bags
            for name, bags in (("items", self.item_bags), ("users", self.user_bags))
        )
        return dataclasses.replace(
            self, tables={**self.tables, **copied}, item_bags=item_bags, user_bags=user_bags
        )

    def user_vectors(self, users: Tensor | None, pooling: Pooling, lengths: Tensor) -> Tensor:
        """Return user vectors (b, dim) float32, divided by the temperature.

        Args:
            users: (b,) int64, or None for users without trained embeddings.
            pooling: their histories.
            lengths: (b,) int64, items of each history.
        """
        recent = self.tables["recent_items"]
        vectors = pooled(recent, self.tables.get("whole_items", recent), pooling)
        if users is not None and "users" in self.tables:
            own = functional.embedding(users, self.tables["users"])
            vectors = torch.add(vectors, own, alpha=self.config.user_weight)
        if self.user_bags is None:
            return unit_rows(vectors) / self.config.temperature
        if users is not None:
            bags = self.user_bags.take(users).sums(self.tables["user_features"])
            fading = self.config.feature_weight / (1 + lengths)
            vectors = vectors + bags * fading[:, None]
        length = vectors.square().sum(1, keepdim=True).add(SOFT**2).sqrt()
        return vectors / (length * self.config.temperature)

    def item_vectors(self, keep: Tensor | None = None) -> Tensor:
        """Return the vectors of all items.

        Args:
            keep: (n_items,) float32 of 0 and 1, 0 drops an item's own embedding; None keeps all.

        Returns:
            (n_items, dim) float32 of length 1, or 0 for items with neither embedding nor features.
        """
        items = self.tables["items"] if keep is None else self.tables["items"] * keep[:, None]
        if self.item_bags is not None:
            bags = self.item_bags.sums(self.tables["item_features"])
            items = torch.add(items, bags, alpha=self.config.feature_weight)
        return unit_rows(items)

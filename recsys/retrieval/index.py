"""An index of a large catalogue as plain arrays: which items lie together, and where to look.

Items are sorted into lists of items that the same users like. A user's few best lists are found
first, then only their items are looked at (indexed_catalogue.py). What follows from the model
alone, the items' vectors, is not stored twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.data.interactions import Floats32
from recsys.messages import count


@dataclass(frozen=True)
class IndexFacts:
    """What an index is, and how good; plain JSON values.

    Attributes:
        lists: how many the items are sorted into.
        probes: lists that a question looks into.
        recall_at_10: share of the exact ten best items that its answers hold, in [0, 1].
        users: known users over whom that was measured.
    """

    lists: int
    probes: int
    recall_at_10: float
    users: int

    def __str__(self) -> str:
        return (
            f"an index ({count(self.lists, 'list')}, {count(self.probes, 'probe')}): recall@10 "
            f"against exact {self.recall_at_10:.4f} ({count(self.users, 'user')})"
        )


@dataclass(frozen=True, eq=False)
class ItemLists:
    """All items, sorted into lists.

    Attributes:
        points: (n_lists, dim + 1) float32: a list has a vector and a bias, as an item has, and is
            scored as an item is; a user's best lists are those with the best scores.
        of_items: (n_items,) int32, the list of each item.
    """

    points: Floats32
    of_items: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class ItemIndex:
    """Lists, how many of them to look into, and what that is worth."""

    lists: ItemLists
    facts: IndexFacts

    def to_columns(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays to store, by name; `as_dict` holds the rest."""
        return {"points": self.lists.points, "of_items": self.lists.of_items}

    def as_dict(self) -> dict[str, Any]:
        """What is no array, as plain JSON values."""
        return asdict(self.facts)

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, npt.NDArray[Any]],
        facts: Mapping[str, Any],
        shape: tuple[int, int],
    ) -> ItemIndex:
        """What `to_columns` and `as_dict` gave.

        Args:
            columns: the arrays.
            facts: the rest.
            shape: n_items and dim of the catalogue.

        Raises:
            KeyError: something is missing.
            ValueError: the parts contradict each other or the catalogue.
        """
        lists = ItemLists(columns["points"], columns["of_items"])
        names = [field.name for field in fields(IndexFacts)]
        found, (n_items, dim) = IndexFacts(*(facts[name] for name in names)), shape
        if (
            lists.points.shape != (found.lists, dim + 1)
            or lists.of_items.shape != (n_items,)
            or not 0 <= lists.of_items.min() <= lists.of_items.max() < found.lists
            or not 1 <= found.probes <= found.lists
        ):
            raise ValueError(f"the index does not sort {n_items} items of dim {dim} into lists")
        return cls(lists, found)

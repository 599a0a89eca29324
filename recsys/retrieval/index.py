"""An index of a large catalogue as plain arrays: the list of each item and a point per list.

Items are sorted into lists of items that the same users like. A user's best few lists are found
first, then only the items of these lists are scored (see `recsys.retrieval.approximate`). The
items' vectors follow from the model alone and are not stored again.
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
    """Size and quality of an index as plain JSON values.

    Attributes:
        lists: lists that the items are sorted into.
        probes: lists searched per user.
        recall_at_10: share of the exact ten best items that answers with the index contain, in
            [0, 1].
        users: known users over whom recall_at_10 was measured.
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
        points: (n_lists, dim + 1) float32, a vector and a bias per list. Lists are scored as items
            are, and a user's best lists are those with the highest scores.
        of_items: (n_items,) int32, the list of each item.
    """

    points: Floats32
    of_items: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class ItemIndex:
    """Lists of items with the number of probes and the measured recall.

    Attributes:
        lists: all items, sorted into lists.
        facts: size and quality of the index.
    """

    lists: ItemLists
    facts: IndexFacts

    def to_columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays to store, by name; `as_dict` holds the rest."""
        return {"points": self.lists.points, "of_items": self.lists.of_items}

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the arrays, as plain JSON values."""
        return asdict(self.facts)

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, npt.NDArray[Any]],
        facts: Mapping[str, Any],
        shape: tuple[int, int],
    ) -> ItemIndex:
        """Return the index with these `to_columns` and `as_dict`.

        Args:
            columns: the arrays of `to_columns`.
            facts: the values of `as_dict`.
            shape: n_items and dim of the catalogue.

        Raises:
            KeyError: an array or a value is missing.
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

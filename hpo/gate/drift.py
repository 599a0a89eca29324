"""Drift: the difference between new data and the data that the champion was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import AliasChoices, Field

from hpo.gate.rules import Comparison
from recsys.artifacts import Checkpoint
from recsys.data import Interactions, Ints32
from recsys.evaluation import MetricName
from recsys.messages import count

# Files gate.json written until 2026-11-25 have the names recall_then and recall.
THEN, NOW = AliasChoices("value_then", "recall_then"), AliasChoices("value", "recall")


@dataclass(frozen=True)
class Drift:
    """The difference between new data and the champion's data.

    Attributes:
        version: version number of the champion.
        n_rows: rows of the new data.
        rows_then: rows of the champion's data.
        n_users: users with rows in the new data.
        unknown_users: users among `n_users` without a row in the champion's data.
        n_items: items with rows in the new data.
        unknown_items: items among `n_items` without a row in the champion's data.
        value_then: the champion's objective on its own test users; None: its checkpoint does not
            state it.
        value: the champion's objective on the new test users who can be compared; None: the
            champion cannot be compared.
        n_asked: number of test users behind `value`; 0 without a value.
        objective: metric that the champion's study maximized.
    """

    version: int
    n_rows: int
    rows_then: int
    n_users: int
    unknown_users: int
    n_items: int
    unknown_items: int
    value_then: Annotated[float | None, Field(validation_alias=THEN)]
    value: Annotated[float | None, Field(validation_alias=NOW)] = None
    n_asked: int = 0
    objective: MetricName = "recall_at_10"

    @property
    def lines(self) -> list[str]:
        """Return the drift as two sentences for people."""
        users = _share("user", self.unknown_users, self.n_users)
        items = _share("item", self.unknown_items, self.n_items)
        then = "unknown" if self.value_then is None else f"{self.value_then:.4f}"
        now = "cannot be measured" if self.value is None else (
            f"{self.value:.4f} on {count(self.n_asked, 'test user')} of the new data (those "
            "that it can be asked about)"
        )  # fmt: skip
        rows = (
            f"{count(self.n_rows, 'row')}, {self.rows_then:,} in the data of version {self.version}"
        )
        what = f"{self.objective} of version {self.version}"
        return [
            f"drift: {rows}; it does not know {users} and {items}",
            f"drift: {what} {now}, {then} on its own test users",
        ]


def measure_drift(
    version: int, stored: Checkpoint, data: Interactions, objective: MetricName
) -> Drift:
    """Measure all of the drift but the champion's value on the new data.

    The comparison on test users measures that value, and `with_value` adds it.

    Args:
        version: version number of the champion.
        stored: the champion's model, with all rows of its data as history.
        data: all rows of the new data.
        objective: metric that the champion's study maximized.
    """
    then, test = stored.history, stored.meta.get("test", {})
    n_users, unknown_users = _count_unknown(data.users, data.user_ids, then.users, then.user_ids)
    n_items, unknown_items = _count_unknown(data.items, data.item_ids, then.items, then.item_ids)
    return Drift(
        version=version,
        n_rows=len(data),
        rows_then=len(then),
        n_users=n_users,
        unknown_users=unknown_users,
        n_items=n_items,
        unknown_items=unknown_items,
        value_then=test.get(objective),
        objective=objective,
    )


def with_value(drift: Drift, champion: Comparison | None) -> Drift:
    """Return the drift with the champion's value on the new data.

    Args:
        drift: the result of `measure_drift`.
        champion: the comparison with the champion; None if the champion cannot be compared, which
            leaves the drift unchanged.
    """
    if champion is None:
        return drift
    return replace(drift, value=champion.theirs, n_asked=champion.n_users)


def _count_unknown(
    now: Ints32, ids: Sequence[str], then: Ints32, ids_then: Sequence[str]
) -> tuple[int, int]:
    """Return the number of ids with rows now, and how many of these had no row then."""
    known = {ids_then[position] for position in np.unique(then)}
    have = [ids[position] for position in np.unique(now)]
    return len(have), sum(text not in known for text in have)


def _share(noun: str, n: int, of: int) -> str:
    return f"{n:,} of {count(of, noun)} ({n / of:.1%})"

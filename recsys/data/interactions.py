"""Interactions: (user, item, time) rows, the one form in which data travels inside recsys.

Rows are sorted by user, then time (stable), so one user's history is a contiguous, ordered run
and `offsets` finds it without a search. Ids of any shape become positions 0..n-1 in this module
only; `user_ids` and `item_ids` lead back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from recsys.data.features import Features, Ints32, Ints64
from recsys.data.sorting import firsts, lexsorted
from recsys.errors import DataError

Floats32 = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Repeats = Literal["drop", "keep"]


@dataclass(frozen=True, eq=False)
class Interactions:
    """A set of (user, item) events over one vocabulary of users and items.

    Attributes:
        users: (n,) int32, positions in `user_ids`, non-decreasing.
        items: (n,) int32, positions in `item_ids`.
        times: (n,) int64 microseconds since 1970, non-decreasing within a user; None if the
            data has no time, and then the order within a user means nothing.
        weights: (n,) float32 > 0, or None for "every event counts 1".
        user_ids: original user ids as text; the position is the user's number.
        item_ids: original item ids as text; the position is the item's number.
        repeats: "drop": each (user, item) occurs once, and items of a user's history are not
            offered again; "keep": people come back to items, so no item is masked.
        item_features, user_features: features of all items and users of the vocabularies; None
            unless columns were named (`recsys.datasets.features`).

    `n_users` and `n_items` count the vocabulary, not the rows of this part.
    """

    users: Ints32
    items: Ints32
    times: Ints64 | None
    weights: Floats32 | None
    user_ids: Sequence[str]
    item_ids: Sequence[str]
    repeats: Repeats = "drop"
    item_features: Features | None = None
    user_features: Features | None = None

    @classmethod
    def from_ids(
        cls,
        users: Sequence[object],
        items: Sequence[object],
        times: npt.ArrayLike | None = None,
        weights: npt.ArrayLike | None = None,
        *,
        repeats: Repeats = "drop",
    ) -> Interactions:
        """Build interactions from original ids.

        Args:
            users, items: (n,) ids, anything that has a text form.
            times: (n,) microseconds since 1970, or None.
            weights: (n,) > 0, or None.
            repeats: "drop" keeps the earliest row of each (user, item), "keep" keeps all.

        Returns:
            The rows in the order of `from_codes`.

        Raises:
            DataError: columns differ in length, or a weight is not finite and > 0.
        """
        user_ids, user_codes = _vocabulary(users)
        item_ids, item_codes = _vocabulary(items)
        return cls.from_codes(
            user_codes, item_codes, times, weights, user_ids, item_ids, repeats=repeats
        )

    @classmethod
    def from_codes(
        cls,
        users: npt.ArrayLike,
        items: npt.ArrayLike,
        times: npt.ArrayLike | None,
        weights: npt.ArrayLike | None,
        user_ids: Sequence[str],
        item_ids: Sequence[str],
        *,
        repeats: Repeats = "drop",
    ) -> Interactions:
        """Build interactions from positions in the two vocabularies, in any row order.

        Rows are put in order of (user, time), ties in the order given; without times in order of
        (user, item), so that nothing depends on how a file was sorted. With `repeats="drop"` the
        earliest row of each (user, item) stays, with its own weight.

        Args:
            users, items: (n,) positions in `user_ids` and `item_ids`.
            times: (n,) microseconds since 1970, or None.
            weights: (n,) > 0, or None.
            user_ids, item_ids: the vocabularies; ids without rows are allowed.
            repeats: "drop" keeps the earliest row of each (user, item), "keep" keeps all.

        Raises:
            DataError: columns differ in length, a position lies outside its vocabulary, or a weight
                is not finite and > 0.
        """
        users_, items_ = np.asarray(users, np.int32), np.asarray(items, np.int32)
        times_ = None if times is None else np.asarray(times, np.int64)
        weights_ = None if weights is None else np.asarray(weights, np.float32)
        _check_columns(users_, items_, times_, weights_, len(user_ids), len(item_ids))
        order = row_order(users_, items_, times_, repeats)
        return cls(
            users_[order],
            items_[order],
            None if times_ is None else times_[order],
            None if weights_ is None else weights_[order],
            tuple(user_ids),
            tuple(item_ids),
            repeats,
        )

    def __len__(self) -> int:
        return len(self.users)

    @property
    def n_users(self) -> int:
        """Return the number of users in the vocabulary."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Return the number of items in the vocabulary."""
        return len(self.item_ids)

    @cached_property
    def offsets(self) -> Ints64:
        """Return the start of each user's rows.

        Returns:
            (n_users + 1,) int64: the rows of user u are offsets[u]:offsets[u + 1].
        """
        counts = np.bincount(self.users, minlength=self.n_users)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def take(self, rows: Ints64 | Bools) -> Interactions:
        """Return a subset of the rows over the same vocabulary.

        Args:
            rows: an (n,) mask, or ascending positions.
        """
        return replace(
            self,
            users=self.users[rows],
            items=self.items[rows],
            times=None if self.times is None else self.times[rows],
            weights=None if self.weights is None else self.weights[rows],
        )

    @cached_property
    def fingerprint(self) -> str:
        """Return 16 hex digits that identify the data.

        They change with any row, time, weight, id, feature or vector, but not with the order of the
        source.
        """
        digest = hashlib.sha256()
        for column in (self.users, self.items, self.times, self.weights):
            digest.update(b"none" if column is None else np.ascontiguousarray(column).tobytes())
        digest.update(self.repeats.encode())
        for ids in (self.user_ids, self.item_ids):
            digest.update("\x1f".join(ids).encode())
        for side, features in (("item", self.item_features), ("user", self.user_features)):
            if features is not None:
                digest.update(f"{side} {features.columns} {features.sizes}".encode())
                digest.update(features.offsets.tobytes() + features.codes.tobytes())
                if features.vectors is not None:
                    digest.update(f"{features.vector_columns} {features.widths}".encode())
                    digest.update(np.ascontiguousarray(features.vectors).reshape(-1).data)
        return digest.hexdigest()[:16]


def row_order(users: Ints32, items: Ints32, times: Ints64 | None, repeats: Repeats) -> Ints64:
    """Return the positions of the rows that `Interactions.from_codes` keeps, in its order.

    Args:
        users, items: (n,) int32 positions.
        times: (n,) int64, or None.
        repeats: "drop" keeps the earliest row of each (user, item), "keep" keeps all.
    """
    order = lexsorted(users, items if times is None else times)
    if repeats == "keep":
        return order
    return order[firsts(users[order], items[order])]


def sorted_ids(ids: Sequence[str]) -> list[str]:
    """Return ids in vocabulary order: by number if all are plain integers, else by text."""
    if all(text.isascii() and text.isdigit() and (text[0] != "0" or text == "0") for text in ids):
        # Without leading zeros, a shorter number is smaller; int() refuses more than 4300 digits.
        return sorted(ids, key=lambda text: (len(text), text))
    return sorted(ids)


def _vocabulary(values: Sequence[object]) -> tuple[list[str], Ints32]:
    texts = [str(value) for value in values]
    ids = sorted_ids(list(set(texts)))
    position = {text: i for i, text in enumerate(ids)}
    return ids, np.array([position[text] for text in texts], np.int32)


def _check_columns(
    users: Ints32,
    items: Ints32,
    times: Ints64 | None,
    weights: Floats32 | None,
    n_users: int,
    n_items: int,
) -> None:
    """Check that the columns of `from_codes` fit each other and the vocabularies.

    Raises:
        DataError: one problem for each column that does not fit.
    """
    problems = [
        f"column {name} has {len(column)} rows, users has {len(users)}"
        for name, column in (("items", items), ("times", times), ("weights", weights))
        if column is not None and len(column) != len(users)
    ]
    for name, codes, size in (("users", users, n_users), ("items", items, n_items)):
        if len(codes) and (codes.min() < 0 or codes.max() >= size):
            problems.append(f"{name} must be in 0..{size - 1}, got {codes.min()}..{codes.max()}")
    if weights is not None and not (np.isfinite(weights) & (weights > 0)).all():
        problems.append("weights must be finite and > 0")
    if problems:
        raise DataError(problems)

"""What can be asked of a model, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from recsys.errors import RecsysError
from recsys.messages import count

MAX_K = 1000


class RequestError(RecsysError):
    """The question cannot be answered; the message says what may be asked."""


@dataclass(frozen=True)
class Question:
    """What to recommend to whom: somebody the model knows, or somebody by their history.

    Attributes:
        user_id: of a user in the model's history; anybody else gets what is popular.
        history: item ids, oldest first; items that the model does not know are left out.
        times: when the items of `history` happened, in any unit: puts them in order.
        exclude: item ids that must not be answered.
        k: how many items, 1..MAX_K.

    Raises:
        RequestError: both or neither of user_id and history, times that do not fit, or a bad k.
    """

    user_id: str | None = None
    history: Sequence[str] | None = None
    times: Sequence[float] | None = None
    exclude: Sequence[str] = ()
    k: int = 10

    def __post_init__(self) -> None:
        check_k(self.k)
        if (self.user_id is None) == (self.history is None):
            given = "neither" if self.user_id is None else "both"
            raise RequestError(f"give either user_id or history (a list of item ids), not {given}")
        if self.times is not None and len(self.times) != len(self.history or ()):
            n_items = "no history" if self.history is None else count(len(self.history), "item")
            raise RequestError(f"times: {len(self.times)} for {n_items}; give one for each item")


@dataclass(frozen=True)
class Answer:
    """Items for one person, best first.

    Attributes:
        items: (item id, score); fewer than k when little of the catalogue is left.
        source: "model", or "popular" for a user that is not known and a history without any
            item that is known; scores are then counts of rows.
        unknown_items: those of the given history that the model does not know.
    """

    items: tuple[tuple[str, float], ...]
    source: Literal["model", "popular"]
    unknown_items: tuple[str, ...] = ()


def check_k(k: object) -> None:
    """Raise RequestError unless k is an integer in 1..MAX_K."""
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise RequestError(f"k={k!r}: must be an integer in 1..{MAX_K}")

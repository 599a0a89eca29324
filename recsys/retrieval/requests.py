"""Questions to a recommender and its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from recsys.errors import RecsysError
from recsys.messages import count

MAX_K = 1000


class RequestError(RecsysError):
    """A question that cannot be answered; the message says what may be asked."""


@dataclass(frozen=True)
class Question:
    """A request for items, for a user whom the model knows or for somebody by their history.

    Attributes:
        user_id: id of a user in the model's history; unknown users get popular items.
        history: item ids, oldest first; items that the model does not know are left out.
        times: times of the items of `history`, in any unit; they decide the order.
        exclude: item ids that must not be answered.
        k: items wanted, 1..MAX_K.

    Raises:
        RequestError: both or neither of user_id and history, times that do not fit, or a bad k.
    """

    user_id: str | None = None
    history: Sequence[str] | None = None
    times: Sequence[float] | None = None
    exclude: Sequence[str] = ()
    k: int = 10

    def __post_init__(self) -> None:
        """Check that the fields fit each other.

        Raises:
            RequestError: they do not, or k is out of range; see the class.
        """
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
        items: (item id, score); fewer than k if little of the catalogue is left.
        source: "model", or "popular" for an unknown user and for a history without any known
            item; with "popular", scores are counts of rows.
        unknown_items: items of the given history that the model does not know.
    """

    items: tuple[tuple[str, float], ...]
    source: Literal["model", "popular"]
    unknown_items: tuple[str, ...] = ()


def check_k(k: object) -> None:
    """Raise an error unless k is an integer in 1..MAX_K.

    Raises:
        RequestError: k is something else.
    """
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise RequestError(f"k={k!r}: must be an integer in 1..{MAX_K}")

"""Questions to a recommender and its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal

from recsys.errors import RecsysError
from recsys.messages import count

MAX_K = 1000
Id = str | int  # an id as text, or the integer that the file shows


class RequestError(RecsysError):
    """A question that cannot be answered; the message says what may be asked."""


@dataclass(frozen=True)
class Question:
    """A request for items, for a user whom the model knows or for somebody by their history.

    Integers are ids as in the files: 196 is "196". The attributes hold ids as text.

    Attributes:
        user_id: id of a user in the model's history; unknown users get popular items.
        history: item ids, oldest first; items that the model does not know are left out.
        times: times of the items of `history`, in any unit; they decide the order.
        exclude: item ids that must not be returned.
        k: items wanted, 1..MAX_K.
        only: the item ids that may be returned; None: all items.

    Raises:
        RequestError: both or neither of user_id and history, times that do not fit, a bad k, or a
            value that is no id.
    """

    user_id: Id | None = None
    history: Sequence[Id] | None = None
    times: Sequence[float] | None = None
    exclude: Sequence[Id] = ()
    k: int = 10
    only: Sequence[Id] | None = None

    def __post_init__(self) -> None:
        """Check that the fields fit each other, and write ids as text.

        Raises:
            RequestError: they do not, or k is out of range; see the class.
        """
        check_k(self.k)
        if self.user_id is not None and type(self.user_id) is not str:
            object.__setattr__(self, "user_id", id_text(self.user_id))
        for name in ("history", "exclude", "only"):
            if (ids := getattr(self, name)) is not None:
                object.__setattr__(self, name, _texts(name, ids))
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


def id_text(value: object) -> str:
    """Return an id as the text that the model's data has.

    Integers of Python and numpy count as they are written, and so do whole floats, as a table with
    gaps holds its integers.

    Raises:
        RequestError: the value is neither text nor a number.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Integral) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        return str(int(number)) if number.is_integer() else str(number)
    raise RequestError(f"{value!r} is no id: give text or an integer, as the file shows it")


def _texts(name: str, ids: Sequence[Id]) -> Sequence[str]:
    """Return ids as text.

    Raises:
        RequestError: there is one text where a list is expected, or a value is no id.
    """
    if isinstance(ids, str):
        raise RequestError(f"{name}={ids!r}: give a list of item ids")
    if all(type(value) is str for value in ids):
        return ids  # type: ignore[return-value]
    # A list of integers may be long, and id_text takes six times as long as str.
    return [str(value) if type(value) is int else id_text(value) for value in ids]


def check_k(k: object) -> None:
    """Raise an error unless k is an integer in 1..MAX_K.

    Raises:
        RequestError: k is something else.
    """
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise RequestError(f"k={k!r}: must be an integer in 1..{MAX_K}")

"""Top-k items for people, from a stored model and their history.

Answers are exact over the whole catalogue unless an index is used. A `Recommender` never changes
after construction, so any number of threads may share it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from torch import Tensor

from recsys.data import Interactions, Ints64, spans
from recsys.evaluation import encode_users
from recsys.models import TwoTower, histories
from recsys.retrieval.approximate import IndexedCatalogue
from recsys.retrieval.exact import Catalogue
from recsys.retrieval.index import IndexFacts
from recsys.retrieval.ivf import ListSearch
from recsys.retrieval.neighbour_queries import KnownQueries, NeighbourQueries
from recsys.retrieval.requests import (
    Answer,
    Id,
    Question,
    RequestError as RequestError,  # noqa: PLC0414  (re-exported)
    check_k,
    id_text,
)

# Bytes of scores computed at once. A chunk of few users waits for memory while it reads all item
# vectors: 1M items of dim 64 cost 10.7 ms for one user alone, 3.4 ms each for 16.
CHUNK_BYTES = 64 << 20
# Factor between the speeds of a product (25 MFLOP per ms) and of a list search (5): lists lie
# apart in memory and are read anew for each user.
SCATTERED = 5
ID_FLOP = 2500  # operations of a product in the time that the look-up of one id takes: 0.1 us


@dataclass(frozen=True, eq=False)
class _Person:
    """A question in positions; without user and history it asks for popular items.

    Attributes:
        k: items wanted.
        hidden: (x,) items that must not be answered.
        user: position of a user in the model's history.
        history: (h,) known items of somebody else, perhaps none.
        unknown_items: items of the given history that the model does not know.
        is_narrow: True if only some items may be answered, which an index would hardly find.
    """

    k: int
    hidden: Ints64
    user: int | None = None
    history: Ints64 | None = None
    unknown_items: tuple[str, ...] = ()
    is_narrow: bool = False


class Recommender:
    """Exact top-k over the catalogue; items in a user's history are left out.

    If the data keeps repeats, only excluded items are left out, because people return to items.

    Args:
        model: its item vectors and all user vectors are computed once, at construction.
        history: encoded by the user tower and left out of answers; ids come from here.
        chunk_bytes: bytes of float32 scores computed at once; never changes an answer.

    Attributes:
        n_items: size of the catalogue.
        dim: length of the model's vectors.
        user_ids: ids of the history's users, by position.
        item_ids: ids of the history's items, by position.
        catalogue: all items, exact.
        index: facts of the index that finds the answers; None if answers are exact.
        flop: floating-point operations of the products for one answer; with an index, of products
            that take as long, if the index finds enough items (see `flop_of`).
    """

    def __init__(
        self, model: TwoTower, history: Interactions, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        self.n_items, self.dim = history.n_items, model.config.dim
        self.user_ids, self.item_ids = history.user_ids, history.item_ids
        self._device = model.bias.device
        self._model, self._mask = model, history.repeats == "drop"
        self._users, self._asks = encode_users(model, history), KnownQueries(model, history)
        self.catalogue = Catalogue(model, chunk_bytes)
        self._finder: Catalogue | IndexedCatalogue = self.catalogue
        self.index: IndexFacts | None = None
        self.flop = self._exact_flop = 2.0 * self.dim * self.n_items
        self._offsets, self._items = history.offsets, history.items.astype(np.int64)
        self._positions = {user_id: i for i, user_id in enumerate(self.user_ids)}
        self._codes = {item_id: i for i, item_id in enumerate(self.item_ids)}
        self._counts = np.bincount(history.items, minlength=self.n_items)
        self._popular = np.argsort(-self._counts, kind="stable")

    def behind(self, search: ListSearch, facts: IndexFacts) -> Recommender:
        """Return a recommender that answers through an index and shares all else with this one.

        Args:
            search: the index's lists, over all items of the catalogue.
            facts: size and quality of the index.
        """
        other = copy.copy(self)
        other._finder = IndexedCatalogue(self.catalogue, search, facts.probes)
        other.index = facts
        candidates = other._finder.candidates
        other.flop = SCATTERED * 2.0 * self.dim * (facts.lists + candidates)
        return other

    @overload
    def recommend(  # type: ignore[overload-overlap]  # one text is an id, not a list of letters
        self,
        user: Id,
        k: int = ...,
        *,
        exclude: Sequence[Id] = ...,
        only: Sequence[Id] | None = ...,
    ) -> Answer: ...

    @overload
    def recommend(
        self,
        user: Sequence[Id],
        k: int = ...,
        *,
        exclude: Sequence[Id] = ...,
        only: Sequence[Id] | None = ...,
    ) -> list[Answer]: ...

    @overload
    def recommend(
        self,
        user: None = ...,
        k: int = ...,
        *,
        history: Sequence[Id],
        exclude: Sequence[Id] = ...,
        only: Sequence[Id] | None = ...,
    ) -> Answer: ...

    def recommend(
        self,
        user: Id | Sequence[Id] | None = None,
        k: int = 10,
        *,
        history: Sequence[Id] | None = None,
        exclude: Sequence[Id] = (),
        only: Sequence[Id] | None = None,
    ) -> Answer | list[Answer]:
        """Return the k best new items of a user, of each of several users, or by a history.

        Unknown users get the items with the most rows in the history, ties in the order of the
        vocabulary; their scores are these counts. Integers are ids as in the files: 196 is "196".

        Args:
            user: id of a user, or ids of several.
            k: items per user.
            history: item ids of somebody whom the model need not know, oldest first; instead of
                `user`.
            exclude: item ids that must not be answered.
            only: the item ids that may be answered; None: all items.

        Returns:
            The answer; for several users their answers, in the order given.

        Raises:
            RequestError: both or neither of user and history, a value that is no id, or k is no
                integer in 1..1000.
        """
        check_k(k)
        if user is None or isinstance(user, str) or not isinstance(user, Iterable):
            user_id = None if user is None else id_text(user)
            question = Question(user_id, history, exclude=exclude, k=k, only=only)
            return self.answer([question])[0]
        questions = [
            Question(id_text(one), history, exclude=exclude, k=k, only=only) for one in user
        ]
        return self.answer(questions)

    def similar_items(
        self,
        item: Id,
        k: int = 10,
        *,
        exclude: Sequence[Id] = (),
        only: Sequence[Id] | None = None,
    ) -> Answer:
        """Return the k items nearest to an item, by the cosine of their vectors.

        These are items like it; `recommend(history=[item])` answers what people take next.

        Args:
            item: id of the item, which is left out.
            k: items wanted.
            exclude: item ids that must not be answered.
            only: the item ids that may be answered; None: all items.

        Raises:
            RequestError: the model does not know the item, a value is no id, or k is no integer in
                1..1000.
        """
        question = Question(history=[item], exclude=exclude, k=k, only=only)
        (name,) = question.history or ()
        code = self._codes.get(str(name))
        if code is None:
            raise RequestError(
                f"item {name!r} is not among the {self.n_items:,} items of the model; item_ids "
                "lists them"
            )
        hidden = np.append(self._hidden(question), code)
        values, items = self.catalogue.similar(code, hidden, k)
        return Answer(self._named(values.tolist(), items.tolist()), "model")

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer to each question, in order.

        Users whom the model knows and users with a known history share matrix products.
        """
        people = [self._person(question) for question in questions]
        modelled = [person for person in people if _is_modelled(person)]
        scored: dict[int, Answer] = {}
        for finder, group in (
            (self._finder, [person for person in modelled if not person.is_narrow]),
            (self.catalogue, [person for person in modelled if person.is_narrow]),
        ):
            for start in range(0, len(group), finder.chunk):
                chunk = group[start : start + finder.chunk]
                scored |= zip(map(id, chunk), self._score(chunk, finder), strict=True)
        return [scored[id(p)] if _is_modelled(p) else self._most_popular(p) for p in people]

    def flop_of(self, questions: Sequence[Question]) -> float:
        """Return about as many floating-point operations as take the time of these answers.

        With an index, a question that hides or wants many items is answered exactly, which takes
        up to a hundred times as long.
        """
        ids = sum(len(each.exclude) + len(each.history or ()) for each in questions)
        finder = self._finder
        exact = 0
        if isinstance(finder, IndexedCatalogue) and questions:
            k = max(each.k for each in questions)
            exact = sum(not finder.suffices(self._most_hidden(each), k) for each in questions)
        flop = exact * self._exact_flop + (len(questions) - exact) * self.flop
        return flop + ID_FLOP * ids

    def _most_hidden(self, question: Question) -> int:
        """Return the most items that a question may hide."""
        if question.only is not None:
            return self.n_items
        hidden = len(question.exclude)
        if not self._mask:
            return hidden
        if question.history is not None:
            return hidden + len(question.history)
        user = self._positions.get(str(question.user_id))
        return hidden if user is None else hidden + int(np.diff(self._offsets[user : user + 2])[0])

    def position(self, user_id: str) -> int | None:
        """Return the position of a user in `user_ids`; None if the model does not know the user."""
        return self._positions.get(user_id)

    def top(self, users: Ints64, k: int) -> tuple[Tensor, Tensor]:
        """Return the answers of `recommend` as numbers, for many users at once.

        Args:
            users: (b,) positions in `user_ids`.
            k: items per user.

        Returns:
            (b, min(k, n_items)) float32 scores, -inf where no item is left, and int64 positions in
            `item_ids`.

        Raises:
            RequestError: k is no integer in 1..1000.
        """
        check_k(k)
        values, items = [], []
        for start in range(0, len(users), self._finder.chunk):
            chunk = users[start : start + self._finder.chunk]
            hidden = self._seen(chunk) if self._mask else np.zeros(0, np.int64)
            vectors = self._users[torch.from_numpy(chunk).to(self._device)]
            best, where = self._finder.best(vectors, self._asks.of(chunk), hidden, k)
            values.append(best.cpu())
            items.append(where.cpu())
        return torch.cat(values), torch.cat(items)

    def _seen(self, users: Ints64) -> Ints64:
        """Return the items in the histories of users (b,), as row * n_items + item."""
        row, place = spans(self._offsets, users)
        return row * self.n_items + self._items[place]

    def _person(self, question: Question) -> _Person:
        """Return a question in positions, with history in order of time and hidden items."""
        hidden, is_narrow = self._hidden(question), question.only is not None
        if question.history is None:
            user = self._positions.get(str(question.user_id))
            if user is not None and self._mask:
                seen = self._items[self._offsets[user] : self._offsets[user + 1]]
                hidden = np.concatenate([seen, hidden]) if len(hidden) else seen
            return _Person(question.k, hidden, user=user, is_narrow=is_narrow)
        items = [str(item) for item in question.history]
        if question.times is not None:
            items = [items[i] for i in np.argsort(np.asarray(question.times), kind="stable")]
        if self._mask:
            items = list(dict.fromkeys(items))  # the earliest counts, as in the data
        unknown = tuple(item for item in items if item not in self._codes)
        known = np.array([self._codes[item] for item in items if item in self._codes], np.int64)
        if self._mask:
            hidden = np.concatenate([known, hidden])
        return _Person(question.k, hidden, None, known, unknown, is_narrow)

    def _hidden(self, question: Question) -> Ints64:
        """Return the (x,) items that a question excludes, without those of any history."""
        exclude = [self._codes[str(item)] for item in question.exclude if item in self._codes]
        hidden = np.array(exclude, np.int64)
        if question.only is None:
            return hidden
        free = np.zeros(self.n_items, np.bool_)
        free[[self._codes[str(item)] for item in question.only if item in self._codes]] = True
        return np.concatenate([np.flatnonzero(~free), hidden])

    def _most_popular(self, person: _Person) -> Answer:
        """Return the most popular items that are not hidden, ties in order of the vocabulary."""
        hidden = set(person.hidden.tolist())
        candidates = self._popular[: person.k + len(hidden)].tolist()
        best = [item for item in candidates if item not in hidden][: person.k]
        items = tuple((self.item_ids[item], float(self._counts[item])) for item in best)
        return Answer(items, "popular", person.unknown_items)

    def _score(
        self, people: Sequence[_Person], finder: Catalogue | IndexedCatalogue
    ) -> list[Answer]:
        """Return the answers of the model to people with a user or a history, in one product."""
        offset = self.n_items
        hidden = np.concatenate([row * offset + p.hidden for row, p in enumerate(people)])
        k = max(person.k for person in people)
        values, items = finder.best(*self._asked(people), hidden, k)
        rows = zip(people, values.tolist(), items.tolist(), strict=True)
        return [
            Answer(self._named(best[: p.k], where[: p.k]), "model", p.unknown_items)
            for p, best, where in rows
        ]

    def _asked(self, people: Sequence[_Person]) -> tuple[Tensor, NeighbourQueries]:
        """Return people's (b, dim) vectors, stored or encoded now, and neighbour queries."""
        known = [(row, p.user) for row, p in enumerate(people) if p.user is not None]
        given = [(row, p.history) for row, p in enumerate(people) if p.history is not None]
        users = np.array([user for _, user in known], np.int64)
        vectors, asks = self._users[torch.from_numpy(users).to(self._device)], self._asks.of(users)
        if not given:
            return vectors, asks
        encoded, theirs = self._encode([items for _, items in given])
        order = np.array([row for row, _ in (*known, *given)])
        placed = torch.empty(len(people), self.dim, device=self._device)
        placed[torch.from_numpy(order).to(self._device)] = torch.cat([vectors, encoded])
        return placed, asks.placed(order[: len(known)]) + theirs.placed(order[len(known) :])

    @torch.no_grad()
    def _encode(self, given: Sequence[Ints64]) -> tuple[Tensor, NeighbourQueries]:
        """Return user vectors and neighbour queries for histories given in the request."""
        items = torch.from_numpy(np.concatenate(given)).to(self._device)
        lengths = torch.tensor([len(each) for each in given], device=self._device)
        history = histories(items, torch.cumsum(lengths, 0) - lengths, lengths)
        return self._model.user_vectors(None, history), NeighbourQueries.of(self._model, history)

    def _named(self, values: list[float], items: list[int]) -> tuple[tuple[str, float], ...]:
        """Return (item id, score) pairs, without places where no item is left."""
        pairs = zip(items, values, strict=True)
        return tuple((self.item_ids[item], value) for item, value in pairs if value > -torch.inf)


def _is_modelled(person: _Person) -> bool:
    """Return True if the model can answer, not only popularity."""
    return person.user is not None or (person.history is not None and len(person.history) > 0)

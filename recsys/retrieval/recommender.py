"""The thing that answers: top-k items for people, from a stored model and their history.

Exact, over the whole catalogue, unless an index is put before it. Nothing in a `Recommender`
changes after it is made, so any number of threads may ask one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recsys.data.interactions import Interactions, Ints64
from recsys.data.ragged import spans
from recsys.evaluation.evaluator import encode_users
from recsys.models.histories import histories
from recsys.models.two_tower import TwoTower
from recsys.retrieval.approximate import IndexedCatalogue
from recsys.retrieval.exact import Catalogue
from recsys.retrieval.index import IndexFacts
from recsys.retrieval.ivf import ListSearch
from recsys.retrieval.neighbour_queries import Asks, KnownAsks
from recsys.retrieval.requests import Answer, Question, check_k
from recsys.retrieval.requests import RequestError as RequestError  # noqa: PLC0414  (re-exported)

# Of scores at a time. A chunk of few users waits for memory while it reads all item vectors:
# 1M items of dim 64 cost 10.7 ms for one user alone, 3.4 ms each for 16.
CHUNK_BYTES = 64 << 20
# Lists lie apart in memory and are read for each user anew: 5 MFLOP a ms, a product has 25.
SCATTERED = 5


@dataclass(frozen=True, eq=False)
class _Person:
    """A question in positions.

    Attributes:
        hidden: (x,) items that may not be answered.
        user: in the model's history, or
        history: (h,) known items of somebody else, perhaps none; neither: popular items.
    """

    k: int
    hidden: Ints64
    user: int | None = None
    history: Ints64 | None = None
    unknown_items: tuple[str, ...] = ()


class Recommender:
    """Exact top-k over the catalogue; items in a user's history are left out.

    With repeats nothing is left out but what is excluded: people come back to items.

    Args:
        model: its item vectors and all user vectors are computed once, here.
        history: what the user tower sees and what is left out; ids come from here.
        chunk_bytes: float32 scores at a time; never changes an answer.

    Attributes:
        n_items, dim: of the model.
        user_ids, item_ids: of the history.
        catalogue: all items, exact.
        index: what answers are found with; None: they are exact.
        flop: of the products for one answer, or of those that take as long.
    """

    def __init__(
        self, model: TwoTower, history: Interactions, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        self.n_items, self.dim = history.n_items, model.config.dim
        self.user_ids, self.item_ids = history.user_ids, history.item_ids
        self._device = model.bias.device
        self._model, self._mask = model, history.repeats == "drop"
        self._users, self._asks = encode_users(model, history), KnownAsks(model, history)
        self.catalogue = Catalogue(model, chunk_bytes)
        self._finder: Catalogue | IndexedCatalogue = self.catalogue
        self.index: IndexFacts | None = None
        self.flop = 2.0 * self.dim * self.n_items
        self._offsets, self._items = history.offsets, history.items.astype(np.int64)
        self._positions = {user_id: i for i, user_id in enumerate(self.user_ids)}
        self._codes = {item_id: i for i, item_id in enumerate(self.item_ids)}
        self._counts = np.bincount(history.items, minlength=self.n_items)
        self._popular = np.argsort(-self._counts, kind="stable")

    def behind(self, search: ListSearch, facts: IndexFacts) -> Recommender:
        """The same, but its answers are found with an index; it shares all else with this one.

        Args:
            search: all items of the catalogue.
            facts: about this index.
        """
        other = copy.copy(self)
        other._finder = IndexedCatalogue(self.catalogue, search, facts.probes)
        other.index = facts
        looked_at = facts.lists + facts.probes * self.n_items / facts.lists
        other.flop = SCATTERED * 2.0 * self.dim * looked_at
        return other

    def recommend(self, user_ids: Sequence[str | int], k: int = 10) -> list[Answer]:
        """The k best new items of each user, in the order of `user_ids`.

        Unknown users get the items with the most rows in the history, ties in the order of the
        vocabulary; their scores are these counts.

        Args:
            user_ids: as in the files; 196 is "196".
            k: items each.

        Raises:
            RequestError: k is no integer in 1..1000.
        """
        check_k(k)
        return self.answer([Question(user_id=str(user_id), k=k) for user_id in user_ids])

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer to each question, in order; people whom the model knows share a product."""
        people = [self._person(question) for question in questions]
        modelled = [person for person in people if _is_modelled(person)]
        scored: list[Answer] = []
        for start in range(0, len(modelled), self._finder.chunk):
            scored += self._score(modelled[start : start + self._finder.chunk])
        found = iter(scored)
        return [next(found) if _is_modelled(p) else self._most_popular(p) for p in people]

    def position(self, user_id: str) -> int | None:
        """Number of a user in `user_ids`; None if the model does not know them."""
        return self._positions.get(user_id)

    def top(self, users: Ints64, k: int) -> tuple[Tensor, Tensor]:
        """What `recommend` answers, as numbers: for many users at once.

        Args:
            users: (b,) positions in `user_ids`.
            k: how many items.

        Returns:
            (b, min(k, n_items)) float32 scores, -inf where nothing is left, and int64 positions
            in `item_ids`.
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
        """All that users (b,) have, as row * n_items + item."""
        row, place = spans(self._offsets, users)
        return row * self.n_items + self._items[place]

    def _person(self, question: Question) -> _Person:
        exclude = [self._codes[item] for item in question.exclude if item in self._codes]
        hidden = np.array(exclude, np.int64)
        if question.history is None:
            user = self._positions.get(question.user_id or "")
            if user is not None and self._mask:
                seen = self._items[self._offsets[user] : self._offsets[user + 1]]
                hidden = np.concatenate([seen, hidden]) if len(hidden) else seen
            return _Person(question.k, hidden, user=user)
        items = list(question.history)
        if question.times is not None:
            items = [items[i] for i in np.argsort(np.asarray(question.times), kind="stable")]
        if self._mask:
            items = list(dict.fromkeys(items))  # the earliest counts, as in the data
        unknown = tuple(item for item in items if item not in self._codes)
        known = np.array([self._codes[item] for item in items if item in self._codes], np.int64)
        if self._mask:
            hidden = np.concatenate([known, hidden])
        return _Person(question.k, hidden, history=known, unknown_items=unknown)

    def _most_popular(self, person: _Person) -> Answer:
        hidden = set(person.hidden.tolist())
        candidates = self._popular[: person.k + len(hidden)].tolist()
        best = [item for item in candidates if item not in hidden][: person.k]
        items = tuple((self.item_ids[item], float(self._counts[item])) for item in best)
        return Answer(items, "popular", person.unknown_items)

    def _score(self, people: Sequence[_Person]) -> list[Answer]:
        offset = self.n_items
        hidden = np.concatenate([row * offset + p.hidden for row, p in enumerate(people)])
        k = max(person.k for person in people)
        values, items = self._finder.best(*self._asked(people), hidden, k)
        rows = zip(people, values.tolist(), items.tolist(), strict=True)
        return [
            Answer(self._named(best[: p.k], where[: p.k]), "model", p.unknown_items)
            for p, best, where in rows
        ]

    def _asked(self, people: Sequence[_Person]) -> tuple[Tensor, Asks]:
        """(b, dim) vectors, stored or encoded now, and whose neighbours count."""
        known = [(row, p.user) for row, p in enumerate(people) if p.user is not None]
        given = [(row, p.history) for row, p in enumerate(people) if p.history is not None]
        users = np.array([user for _, user in known], np.int64)
        vectors, asks = self._users[torch.from_numpy(users).to(self._device)], self._asks.of(users)
        if not given:
            return vectors, asks
        encoded, theirs = self._encode([items for _, items in given])
        order = np.array([row for row, _ in (*known, *given)])
        placed = torch.empty(len(people), self.dim, device=self._device)
        placed[order] = torch.cat([vectors, encoded])
        return placed, asks.placed(order[: len(known)]) + theirs.placed(order[len(known) :])

    @torch.no_grad()
    def _encode(self, given: Sequence[Ints64]) -> tuple[Tensor, Asks]:
        """The same of users with histories that the model does not know."""
        items = torch.from_numpy(np.concatenate(given)).to(self._device)
        lengths = torch.tensor([len(each) for each in given], device=self._device)
        history, _ = histories(items, torch.cumsum(lengths, 0) - lengths, lengths)
        return self._model.user_vectors(None, history), Asks.of(self._model, history)

    def _named(self, values: list[float], items: list[int]) -> tuple[tuple[str, float], ...]:
        pairs = zip(items, values, strict=True)
        return tuple((self.item_ids[item], value) for item, value in pairs if value > -torch.inf)


def _is_modelled(person: _Person) -> bool:
    return person.user is not None or (person.history is not None and len(person.history) > 0)

"""`demo`: a generated shop, the same bytes on every machine, with patterns to learn.

Users shop in sessions. The next product of a session depends on the last one (each product has
accessories and look-alikes), on the user's taste for two categories, which changes once in a
user's life, on best-sellers, and on new products. So an order-aware model beats popularity by far.

Only RandomState (its stream is frozen by numpy's policy) and whole numbers are used: floats may
differ in the last bit between machines, and the bytes of a data set must not.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np
import polars as pl

from recsys.data.dataset import Dataset
from recsys.data.interactions import Interactions, Repeats
from recsys.readers.columns import EVENT_WEIGHTS

DEMO_SEED = 20240101
N_USERS, N_ITEMS = 800, 500
CATEGORIES = (
    "cameras", "phones", "audio", "laptops", "kitchen", "garden", "running", "cycling", "camping",
    "toys",
)  # fmt: skip
REGIONS = ("north", "south", "east", "west")
AGE_GROUPS = ("18-29", "30-44", "45-59", "60+")
_USER_COLUMNS = ("user_id", "region", "age_group")
_ITEM_COLUMNS = ("item_id", "category", "price")
_START = 1_704_067_200  # 2024-01-01, seconds since 1970
_DAY = 86_400
_DAYS = 180
_PER_CATEGORY = N_ITEMS // len(CATEGORIES)
_NEW_FOR = 21  # days in which a product counts as new


@dataclass(frozen=True)
class _Product:
    """A product, with the numbers that drive its sales."""

    category: int
    cents: int
    popularity: int  # relative, within the category
    launch: int  # day
    next: tuple[int, ...]  # accessories and look-alikes, most likely first


@dataclass(frozen=True)
class _User:
    """A user, with the numbers that drive their sessions."""

    region: int
    age: int
    tastes: tuple[int, int]  # category before and after the change
    joined: int  # day
    changes: int  # day
    sessions: int


@dataclass(frozen=True)
class _Shop:
    """The generated products, users and events."""

    products: list[_Product]
    users: list[_User]
    events: list[tuple[int, int, int, str]]  # (seconds, user, product, event), by time


def demo_dataset(seed: int = DEMO_SEED, *, repeats: Repeats = "drop") -> Dataset:
    """Return the demo shop as a Dataset, equal to the Dataset read from `demo_files`.

    Args:
        seed: seed of the shop; other seeds give other shops.
        repeats: "drop" keeps the earliest row of each (user, item), "keep" keeps all.
    """
    shop = _shop(seed)
    seconds, users, items, words = zip(*shop.events, strict=True)
    interactions = Interactions.from_ids(
        [_user_id(user) for user in users],
        [_item_id(item) for item in items],
        np.array(seconds, np.int64) * 1_000_000,
        [EVENT_WEIGHTS[word] for word in words],
        repeats=repeats,
    )
    # float() of the text, as in a reader of the files: adding cents/100 may round differently.
    prices = [(item, category, float(price)) for item, category, price in _item_rows(shop)]
    return Dataset(
        "demo",
        interactions,
        pl.DataFrame(list(_user_rows(shop)), _USER_COLUMNS, orient="row"),
        pl.DataFrame(prices, _ITEM_COLUMNS, orient="row"),
    )


def demo_files(seed: int = DEMO_SEED) -> dict[str, bytes]:
    """Return interactions.csv, users.csv and items.csv of the demo shop as UTF-8 bytes, by name."""
    shop = _shop(seed)
    events = (
        (_user_id(user), _item_id(item), str(seconds), word)
        for seconds, user, item, word in shop.events
    )
    tables: dict[str, Iterable[tuple[str, ...]]] = {
        "interactions.csv": chain([("user_id", "item_id", "timestamp", "event")], events),
        "users.csv": chain([_USER_COLUMNS], _user_rows(shop)),
        "items.csv": chain([_ITEM_COLUMNS], _item_rows(shop)),
    }
    return {
        name: "".join(",".join(row) + "\n" for row in rows).encode()
        for name, rows in tables.items()
    }


def demo_sha256(seed: int = DEMO_SEED) -> str:
    """Return the checksum over the three files, in the order of `demo_files`."""
    return hashlib.sha256(b"".join(demo_files(seed).values())).hexdigest()


class _Dice:
    """Whole random numbers, drawn in blocks: a call of randint for each takes 20 times longer."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.RandomState(seed)
        self._block: Iterator[int] = iter(())

    def below(self, limit: int) -> int:
        """Return a number with 0 <= number < limit.

        The limit stays far below 2**31, so the modulo hardly biases.
        """
        number = next(self._block, None)
        if number is None:
            # The dtype is named: the default is 32 bits on some platforms, with another stream.
            block = self._random.randint(0, 2**31 - 1, size=10_000, dtype=np.int64)
            self._block = iter(block.tolist())
            number = next(self._block)
        return number % limit

    def percent(self, chance: int) -> bool:
        """Return True if a throw succeeds; `chance` of 100 throws do."""
        return self.below(100) < chance

    def weighted(self, weights: list[int]) -> int:
        """Draw a position in proportion to its weight."""
        upto = list(accumulate(weights))
        return bisect_right(upto, self.below(upto[-1]))


def _shop(seed: int) -> _Shop:
    dice = _Dice(seed)
    products = [_product(number, dice) for number in range(N_ITEMS)]
    users = [_user(dice) for _ in range(N_USERS)]
    events = [event for number, user in enumerate(users)
              for event in _history(number, user, products, dice)]  # fmt: skip
    return _Shop(products, users, sorted(events))


def _product(number: int, dice: _Dice) -> _Product:
    category, place = divmod(number, _PER_CATEGORY)
    first = category * _PER_CATEGORY
    # A ring of steps 1, 7 and 16 within the category: these products are looked at next.
    following = tuple(first + (place + step) % _PER_CATEGORY for step in (1, 7, 16))
    launch = dice.below(_DAYS - 20) if dice.percent(30) else 0
    rank = (place * 13 + 5) % _PER_CATEGORY  # bestsellers are spread over the ring
    return _Product(category, 499 + dice.below(40_000), 6000 // (rank + 3), launch, following)


def _user(dice: _Dice) -> _User:
    region, age = dice.below(len(REGIONS)), dice.below(len(AGE_GROUPS))
    taste = (2 * region + age + dice.below(3)) % len(CATEGORIES)
    later = (taste + 1 + dice.below(2)) % len(CATEGORIES)
    joined = dice.below(_DAYS - 40)
    changes = joined + (_DAYS - joined) * (40 + dice.below(40)) // 100
    return _User(region, age, (taste, later), joined, changes, 2 + dice.below(9))


def _history(
    number: int, user: _User, products: list[_Product], dice: _Dice
) -> Iterator[tuple[int, int, int, str]]:
    """Yield all events of one user: sessions on random days, each a walk through the shop."""
    days = sorted(user.joined + dice.below(_DAYS - user.joined) for _ in range(user.sessions))
    last: int | None = None
    for day in days:
        second = _START + day * _DAY + 7 * 3600 + dice.below(15 * 3600)
        taste = user.tastes[day >= user.changes]
        for _ in range(1 + dice.below(5)):
            last = _next_product(last, taste, day, products, dice)
            for word in _deeds(dice):
                yield second, number, last, word
                second += 5 + dice.below(90)


def _next_product(
    last: int | None, taste: int, day: int, products: list[_Product], dice: _Dice
) -> int:
    if last is not None and products[last].category == taste and dice.percent(65):
        step = products[last].next[dice.weighted([6, 3, 1])]
        if products[step].launch <= day:
            return step
    category = taste if dice.percent(85) else dice.below(len(CATEGORIES))
    first = category * _PER_CATEGORY
    weights = [_attraction(products[first + place], day) for place in range(_PER_CATEGORY)]
    return first + dice.weighted(weights)


def _attraction(product: _Product, day: int) -> int:
    age = day - product.launch
    if age < 0:
        return 0
    return product.popularity * (3 if product.launch and age < _NEW_FOR else 1)


def _deeds(dice: _Dice) -> list[str]:
    """Draw the events of a user with a product: a view, then further steps, each less likely."""
    deeds = ["view"]
    for word, chance in (("click", 45), ("cart", 40), ("purchase", 55)):
        if not dice.percent(chance):
            break
        deeds.append(word)
    return deeds


def _user_id(number: int) -> str:
    return f"u{number + 1:04d}"


def _item_id(number: int) -> str:
    return f"p{number + 1:04d}"


def _user_rows(shop: _Shop) -> Iterator[tuple[str, str, str]]:
    for number, user in enumerate(shop.users):
        yield _user_id(number), REGIONS[user.region], AGE_GROUPS[user.age]


def _item_rows(shop: _Shop) -> Iterator[tuple[str, str, str]]:
    for number, product in enumerate(shop.products):
        euros, cents = divmod(product.cents, 100)
        yield _item_id(number), CATEGORIES[product.category], f"{euros}.{cents:02d}"

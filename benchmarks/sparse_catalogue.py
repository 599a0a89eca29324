"""A large, sparse, untimed data set that is drawn here: outings, and the people who go on them.

    python -m benchmarks.sparse_catalogue FOLDER [--scale 1.0] [--seed 0]

Scale 1 has 30,000 users, 41,000 items and some 0.8M rows without times, like a public check-in
data set; scale 0.2 has a fifth of each and is for development. Places lie in towns. An outing is a
dozen places of one town that go together, and a place belongs to about two outings. A person knows
one to three towns, goes on some outings there, sees half of each one's places, and now and then
goes anywhere. There are far more outings than a vector has numbers, and few people share one, so
what goes with what is known from the neighbours of neighbours: the other places of people who have
a place of mine.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

N_USERS, N_ITEMS = 30_000, 41_000
PLACES = 140  # of a town, on average
OUTINGS = 24  # of a town, on average
TOGETHER = 12  # places of an outing
SEEN = 0.5  # chance that a person on an outing sees a place of it
LEAST, MORE = 2, 2.1  # outings of a person: at least, and on average beyond
ELSEWHERE = 3.0  # places of a person that follow popularity alone, on average
SPREAD = 0.8  # standard deviation of the logarithms of popularity


def draw(scale: float, seed: int) -> pl.DataFrame:
    """Return the rows, in random order and each once, with columns user_id and item_id.

    Args:
        scale: size of the data, 1 for 30,000 users and 41,000 items.
        seed: of all draws.
    """
    rng = np.random.default_rng(seed)
    n_users, n_items = int(N_USERS * scale), int(N_ITEMS * scale)
    n_towns = n_items // PLACES
    town_of = np.sort(rng.integers(0, n_towns, n_items))
    share = np.exp(rng.normal(0, SPREAD, n_items))
    outings = [
        rng.choice(places, TOGETHER, replace=False, p=share[places] / share[places].sum())
        for town in range(n_towns)
        for places in [np.flatnonzero(town_of == town)]
        for _ in range(OUTINGS)
    ]
    liked = np.exp(rng.normal(0, SPREAD, (n_towns, OUTINGS)))
    everywhere = np.cumsum(share)
    users, items = [], []
    for user in range(n_users):
        towns = rng.integers(0, n_towns, rng.integers(1, 4))
        chance = liked[towns].ravel()
        n = LEAST + int(rng.exponential(MORE))
        chosen = rng.choice(len(chance), min(n, len(chance)), p=chance / chance.sum())
        known = np.concatenate(
            [outings[towns[one // OUTINGS] * OUTINGS + one % OUTINGS] for one in chosen]
        )
        known = known[rng.random(len(known)) < SEEN]
        far = np.searchsorted(everywhere, rng.random(rng.poisson(ELSEWHERE)) * everywhere[-1])
        found = np.unique(np.append(known, far))
        items.append(found)
        users.append(np.full(len(found), user))
    rows = pl.DataFrame({"user_id": np.concatenate(users), "item_id": np.concatenate(items)})
    return rows.sample(fraction=1.0, shuffle=True, seed=seed)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    rows = draw(options.scale, options.seed)
    rows.write_csv(options.folder / "interactions.tsv", separator="\t")
    n_users, n_items = (rows[name].n_unique() for name in rows.columns)
    print(f"{n_users:,} users, {n_items:,} items, {len(rows):,} rows in {options.folder}")


if __name__ == "__main__":
    main()

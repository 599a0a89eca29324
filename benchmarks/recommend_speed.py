"""How many users a second hpo.recommend writes, beside the bare matrix product of the same size.

    python benchmarks/recommend_speed.py                    # 100,000 users x 100,000 items, dim 64
    python benchmarks/recommend_speed.py --users 1000000    # ten times as long

Both do the same chunks on all cores: scores = user vectors x item vectors, into memory that is used
again. `hpo.recommend` also leaves out what users have, finds the best k and writes Parquet. The
model is not trained; 20 rows a user.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from hpo.serving.bulk import Users, write_top
from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.models.two_tower import new_model
from recsys.retrieval.recommender import CHUNK_BYTES, Recommender

ROWS = 20  # of each user


def generated(n_users: int, n_items: int, dim: int) -> Recommender:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(n_users), ROWS)
    items = rng.integers(0, n_items, len(users))
    ids = [str(i) for i in range(n_users)], [str(i) for i in range(n_items)]
    data = Interactions.from_codes(users, items, np.arange(len(users)), None, *ids)
    model = new_model(data, TrainConfig(dim=dim), torch.device("cpu"))
    model.initialize(torch.Generator().manual_seed(0))
    return Recommender(model, data)


def product_rate(n_users: int, n_items: int, dim: int) -> float:
    """Users/s of the product alone."""
    chunk = CHUNK_BYTES // (4 * n_items)
    vectors, bias = torch.randn(dim, n_items), torch.randn(n_items)
    users, room = torch.randn(chunk, dim), torch.empty(chunk, n_items)
    torch.addmm(bias, users, vectors, out=room)
    begin, rounds = time.perf_counter(), max(1, n_users // chunk)
    for _ in range(rounds):
        torch.addmm(bias, users, vectors, out=room)
    return rounds * chunk / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--k", type=int, default=20)
    options = parser.parse_args()
    recommender = generated(options.users, options.items, options.dim)
    users = Users(np.arange(options.users), ())
    print(f"{torch.get_num_threads()} threads, {len(users):,} users", flush=True)
    for _ in range(2):
        bare = product_rate(min(options.users, 20_000), options.items, options.dim)
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            write_top(recommender, users, options.k, Path(folder) / "top.parquet", lambda _: None)
            rate = len(users) / (time.perf_counter() - begin)
        print(
            f"product alone {bare:,.0f} users/s, hpo.recommend {rate:,.0f}: {rate / bare:.2f} of it"
        )


if __name__ == "__main__":
    main()

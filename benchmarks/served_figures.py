"""The promoted model's test figures once more, from what the server answers, by brute force.

    python -m hpo.run --data ml-100k --n-trials 5 && python -m hpo.promote
    python benchmarks/served_figures.py

Reads the raw file, holds the test rows out again, asks `hpo.serve --as-measured` over HTTP for each
test user's items, counts hits in plain Python and compares with the model card to 6 digits. Nothing
of recsys or hpo is imported, so a mistake there cannot hide here. Exit code 1 if a figure differs.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pooch

CUTOFFS = (5, 10, 20)
PAGE = 1000  # the most that one request may ask for
Ask = Callable[[str, int, Sequence[str]], list[str]]  # user, k, excluded items -> items


def read_rows(path: Path) -> list[tuple[str, str, float]]:
    """(user, item, time) of a file like ml-100k's: user, item, rating, time, split by tabs."""
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = [line.split("\t") for line in lines if not line.startswith("user_id")]
    return [(user, item, float(time)) for user, item, _, time in cells]


def newest_fifth(rows: Sequence[tuple[str, str, float]]) -> dict[str, set[str]]:
    """Test items of each user: the newest fifth of what they took, each item's first time."""
    baskets: dict[str, dict[str, None]] = {}
    for user, item, _ in sorted(rows, key=lambda row: row[2]):
        baskets.setdefault(user, {}).setdefault(item)
    return {
        user: set(list(basket)[-max(1, len(basket) // 5) :])
        for user, basket in baskets.items()
        if len(basket) >= 3
    }


def first_hit(ask: Ask, user: str, relevant: set[str]) -> int:
    """Place of the best relevant item: further pages leave out what the ones before had."""
    found: list[str] = []
    while page := ask(user, PAGE, found):
        for place, item in enumerate(page, len(found) + 1):
            if item in relevant:
                return place
        found += page
    raise SystemExit(f"user {user}: none of {len(relevant)} test items was ever answered")


def figures(ask: Ask, test: Mapping[str, set[str]]) -> dict[str, float]:
    """Means over users of recall and ndcg at the cutoffs, and mrr."""
    sums: dict[str, float] = {}
    for user, relevant in test.items():
        top = ask(user, max(CUTOFFS), [])
        hits = [item in relevant for item in top]
        best = hits.index(True) + 1 if any(hits) else first_hit(ask, user, relevant)
        one = {"mrr": 1 / best}
        for k in CUTOFFS:
            one[f"recall_at_{k}"] = sum(hits[:k]) / len(relevant)
            gain = sum(1 / math.log2(2 + i) for i in range(min(k, len(hits))) if hits[i])
            ideal = sum(1 / math.log2(2 + i) for i in range(min(k, len(relevant))))
            one[f"ndcg_at_{k}"] = gain / ideal
        for name, value in one.items():
            sums[name] = sums.get(name, 0.0) + value
    return {name: total / len(test) for name, total in sums.items()}


def card_figures(card: str) -> dict[str, str]:
    """The figures as the model card writes them, 6 digits each."""
    return dict(re.findall(r"^\| (\w+) \| (\d\.\d{6}) \|", card, re.MULTILINE))


def asker(port: int) -> Ask:
    """Asks the server on this port, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(user: str, k: int, exclude: Sequence[str]) -> list[str]:
        body = json.dumps({"user_id": user, "k": k, "exclude": [*exclude]})
        connection.request("POST", "/recommend", body)
        with connection.getresponse() as response:
            found = json.load(response)
        if response.status != 200 or found["source"] != "model":
            raise SystemExit(f"user {user}: {response.status} {found}")
        return [item["item_id"] for item in found["items"]]

    return ask


@contextmanager
def served(tracking_uri: str, model: str) -> Iterator[int]:
    """hpo.serve on a free port; the port."""
    command = [sys.executable, "-m", "hpo.serve", "--port", "0", "--as-measured", "--model", model]
    process = subprocess.Popen(
        [*command, "--tracking-uri", tracking_uri], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        found = re.search(r"at http://[^:]*:(\d+)", process.stdout.readline())
        if found is None:
            raise SystemExit("hpo.serve did not start")
        yield int(found[1])
    finally:
        process.terminate()
        process.wait()


def description(tracking_uri: str, model: str) -> str:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri)
    name, separator, which = re.findall(r"models:/([^/@]+)([/@])(.+)", model)[0]
    get = client.get_model_version_by_alias if separator == "@" else client.get_model_version
    return get(name, which).description or ""


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cache = Path(os.environ.get("RECSYS_CACHE") or pooch.os_cache("recsys-hpo"))
    result.add_argument(
        "--data", type=Path, default=cache / "ml-100k" / "ml-100k.inter",
        help="user, item, rating, time by tabs (default: %(default)s)",
    )  # fmt: skip
    result.add_argument("--tracking-uri", default="sqlite:///studies/mlflow.db")
    result.add_argument("--model", default="models:/two-tower@champion")
    return result


def main() -> int:
    options = parser().parse_args()
    if not options.data.exists():
        raise SystemExit(
            f"{options.data}: no such file; name the rows that the model was made of with --data"
        )
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    card = card_figures(description(options.tracking_uri, options.model))
    test = newest_fifth(read_rows(options.data))
    with served(options.tracking_uri, options.model) as port:
        ours = figures(asker(port), test)
    print(f"{len(test):,} test users, {sum(map(len, test.values())):,} test rows")
    print(f"{'metric':14} served    card")
    differ = {name for name, value in ours.items() if f"{value:.6f}" != card.get(name)}
    for name, value in sorted(ours.items()):
        print(f"{name:14} {value:.6f}  {card.get(name)}{'  DIFFERS' if name in differ else ''}")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())

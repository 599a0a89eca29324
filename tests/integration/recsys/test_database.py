"""Interactions from a real PostgreSQL, with the types that shops have."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy

from recsys.datasets import absolute_url, load_dataset
from tests.support.postgresql import postgresql_url

__all__ = ["postgresql_url"]

MAKE = """
CREATE TABLE orders (buyer uuid, item numeric, bought timestamptz);
INSERT INTO orders
SELECT md5((n % 40)::text)::uuid, (7 * n + n / 40) % 60, to_timestamp(1500000000 + n)
FROM generate_series(0, 479) n
"""


def test_the_type_of_a_column_is_that_of_all_its_rows(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE sales (user_id, item_id, coupon)")
        rows = [(f"u{n}", f"i{n % 7}", None if n < 150 else f"half{n}") for n in range(300)]
        connection.executemany("INSERT INTO sales VALUES (?, ?, ?)", rows)
        connection.commit()
    found = load_dataset(f"sqlite:///{file.as_posix()}", sql="SELECT * FROM sales")
    assert len(found.interactions) == 300


def test_uuids_numerics_and_times_with_zones(postgresql_url: str) -> None:
    engine = sqlalchemy.create_engine(postgresql_url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(MAKE))
    engine.dispose()
    sql = "SELECT buyer AS user_id, item AS item_id, bought AS time FROM orders"
    rows = load_dataset(postgresql_url, sql=sql).interactions
    assert (rows.n_users, rows.n_items, len(rows)) == (40, 60, 480)
    assert "cfcd2084-95d5-65ef-66e7-dff9f98764da" in rows.user_ids
    assert rows.item_ids[:3] == ("0", "1", "2")
    assert rows.times is not None
    assert rows.times.min() == 1_500_000_000_000_000


def test_a_path_is_made_absolute_but_for_what_may_be_another_tomorrow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = tmp_path.as_posix()
    assert absolute_url("sqlite:///shop.db") == f"sqlite:///{here}/shop.db"
    assert absolute_url("duckdb:///shop.duckdb") == f"duckdb:///{here}/shop.duckdb"
    token = "duckdb:///shop.duckdb?token=$TOKEN"
    assert absolute_url(token) == f"duckdb:///{here}/shop.duckdb?token=$TOKEN"
    stay = ("sqlite:///$DIR/shop.db", "sqlite:///${DIR}/shop.db", "sqlite://")
    uri = "sqlite:///file:shop.db?mode=ro&uri=true"
    for url in (*stay, "duckdb:///md:shop?motherduck_token=$TOKEN", "duckdb:///:memory:one", uri):
        assert absolute_url(url) == url

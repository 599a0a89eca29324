"""Interactions from a real PostgreSQL, with the types that shops have."""

from __future__ import annotations

import sqlalchemy

from recsys.datasets import load_dataset
from tests.support.postgresql import postgresql_url

__all__ = ["postgresql_url"]

MAKE = """
CREATE TABLE orders (buyer uuid, item numeric, bought timestamptz);
INSERT INTO orders
SELECT md5((n % 40)::text)::uuid, (7 * n + n / 40) % 60, to_timestamp(1500000000 + n)
FROM generate_series(0, 479) n
"""


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

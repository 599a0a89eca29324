"""A study's data is read as its settings say, wherever the next command is started."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from hpo.config import DataConfig, StudyConfig
from hpo.config.toml_file import default_name
from hpo.study.data import load_data, with_source

ROWS = [(n % 40, (7 * n + n // 40) % 60, n % 5, n) for n in range(480)]
SQL = "SELECT * FROM orders"


def config(**data: object) -> StudyConfig:
    return StudyConfig.model_validate({"data": data, "space": {"dim": {"low": 1, "high": 2}}})


def database(folder: Path) -> str:
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute("CREATE TABLE orders (buyer INT, item_id INT, stars INT, ts INT)")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", ROWS)
    connection.close()
    return f"sqlite:///{folder / 'shop.db'}"


def test_a_relative_place_is_stored_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = database(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a1.csv").touch()

    def stored(source: str, sql: str | None = None) -> str:
        return with_source(DataConfig(sql=sql), source).source

    assert stored("sqlite:///shop.db", SQL) == url
    assert stored("postgresql+psycopg://$DB/shop", SQL) == "postgresql+psycopg://$DB/shop"
    assert stored("a1.csv") == str(tmp_path / "a1.csv")
    assert stored("a*.csv") == str(tmp_path / "a*.csv")
    assert stored("https://x.example/a.csv") == "https://x.example/a.csv"


def test_query_columns_and_filters_of_a_study_are_obeyed(tmp_path: Path) -> None:
    told: list[str] = []
    url = database(tmp_path)
    data = {"source": url, "sql": SQL, "user_col": "buyer", "rating_col": "stars"}
    limits = {"min_rating": 1, "min_user_rows": 10, "min_item_rows": 5}
    name, split = load_data(config(**data, **limits), told.append)
    rows = split.interactions
    assert name == "shop"
    assert min(rows.users.tolist().count(user) for user in range(rows.n_users)) >= 10
    assert "96 rows with a low rating or none left out" in told[1]
    assert told[2].startswith("filter: --min-user-rows 10 --min-item-rows 5 left out")
    _, whole = load_data(config(source=url, sql=SQL, user_col="buyer"), told.append)
    assert whole.fingerprint != split.fingerprint


def test_positions_of_columns_are_numbers_or_text(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("".join(f"{user},{item},{time}\n" for user, item, _, time in ROWS))
    data = {"source": str(file), "header": False, "item_col": "2", "time_col": 3}
    _, split = load_data(config(**data, user_col=1))
    assert (split.interactions.n_users, split.interactions.n_items) == (40, 60)


@pytest.mark.parametrize(
    ("source", "name"),
    [("https://x.example/a.csv.gz", "a"), ("sqlite:///shop.db", "shop"), ("s3://b/e/", "e")],
)
def test_the_default_name_of_a_study_on_data_elsewhere(source: str, name: str) -> None:
    assert default_name(Path("own.toml"), config(source=source)) == f"own-{name}"

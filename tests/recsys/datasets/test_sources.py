"""Interactions from databases and addresses, with the real clients of both."""

from __future__ import annotations

import base64
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import fsspec
import polars as pl
import pytest

from recsys.data import Dataset
from recsys.datasets.registry import load_dataset
from recsys.errors import DataError
from recsys.readers import Columns, short_name

ROWS = [(n % 40, (7 * n + n // 40) % 60, 1_500_000_000 + n // 3) for n in range(480)]
CSV = "user_id,item_id,timestamp\n" + "".join(f"{u},{i},{t}\n" for u, i, t in ROWS)
SQL = "SELECT buyer AS user_id, item_id, bought FROM orders WHERE amount > 0"
BOUGHT = Columns(time="bought")


def load(source: str, **options: object) -> Dataset:
    return load_dataset(source, announce=lambda _: None, **options)  # type: ignore[arg-type]


def problem_of(source: str, **options: object) -> str:
    with pytest.raises(DataError) as error:
        load(source, **options)
    return str(error.value)


def database(folder: Path, rows: list[tuple[int, int, int]], name: str = "shop.db") -> str:
    with sqlite3.connect(folder / name) as connection:
        connection.execute("CREATE TABLE orders (buyer INT, item_id INT, bought INT, amount INT)")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, 1)", rows)
        connection.execute("INSERT INTO orders VALUES (999, 999, 0, -1)")
    connection.close()
    return f"sqlite:///{folder / name}"


def test_a_query_is_data_in_whatever_order_the_database_answers(tmp_path: Path) -> None:
    one = load(database(tmp_path, ROWS), sql=SQL, columns=BOUGHT)
    other = load(database(tmp_path, ROWS[::-1], "b.db"), sql=SQL, columns=BOUGHT)
    rows = one.interactions
    assert (one.name, rows.n_users, rows.n_items, len(rows)) == ("shop", 40, 60, 480)
    assert rows.times is not None
    assert rows.times[:2].tolist() == [1_500_000_000_000_000, 1_500_000_013_000_000]
    assert rows.fingerprint == other.interactions.fingerprint


def test_the_name_of_a_database_file_may_be_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = database(tmp_path, ROWS).replace("shop", "$SHOP")
    assert "the environment variable SHOP is not set" in problem_of(url, sql=SQL)
    monkeypatch.setenv("SHOP", "shop")
    assert len(load(url, sql=SQL, columns=BOUGHT).interactions) == 480


def test_a_password_is_never_part_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_PASSWORD", raising=False)
    for url in (
        "postgresql+psycopg://ana:hush@127.0.0.1:1/shop",
        "postgresql+psycopg://127.0.0.1:1/shop?user=ana&password=hush",
    ):
        found = problem_of(url, sql=SQL)
        assert "the URL holds a password" in found
        assert "hush" not in found
        assert "ana" not in found
    url = "postgresql+psycopg://ana:$SHOP_PASSWORD@127.0.0.1:1/shop"
    assert "SHOP_PASSWORD is not set" in problem_of(url, sql=SQL)
    monkeypatch.setenv("SHOP_PASSWORD", "hush")
    found = problem_of(url, sql=SQL)
    assert found.startswith("postgresql+psycopg://127.0.0.1:1/shop: ")
    assert "check --data and --sql" in found
    assert "hush" not in found


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://127.0.0.1:1/shop?sslpassword=hush",
        "mysql+pymysql://127.0.0.1:1/shop?PASSWD=hush",
        "mssql+pyodbc://127.0.0.1:1/shop?pwd=hush",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BUID%3Dana%3B%20Pwd%3Dhush",
        "mssql+pyodbc:///?odbc_connect=PWD=$SHOP;UID=ana;PASSWORD=hush",
        "mssql+pyodbc:///?odbc_connect=PWD={hu;sh};UID=ana",
        "duckdb:///md:shop?motherduck_token=hush",
        "duckdb:///shop.duckdb?s3_secret_access_key=hush",
    ],
)
def test_a_password_among_the_options_of_a_database_is_refused(url: str) -> None:
    found = problem_of(url, sql=SQL)
    assert "the URL holds a password" in found
    assert "hush" not in found


@pytest.mark.parametrize(
    "options", ["password=$SHOP", "odbc_connect=$SHOP", "odbc_connect=UID=ana;PWD=${SHOP};X=1"]
)
def test_an_option_may_name_a_variable(options: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP", raising=False)
    url = f"postgresql+psycopg://127.0.0.1:1/shop?{options}"
    assert "the environment variable SHOP is not set" in problem_of(url, sql=SQL)
    monkeypatch.setenv("SHOP", "hush")
    found = problem_of(url, sql=SQL)
    assert "check --data and --sql" in found
    assert "hush" not in found


@pytest.mark.parametrize("name", ["$SHOP", "${SHOP}", "{$SHOP}"])
def test_a_password_of_an_odbc_driver_arrives_whole(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def connect(text: str, **_: object) -> None:
        told.append(text)
        raise sqlite3.OperationalError("refused")

    errors = {"Error": sqlite3.Error, "ProgrammingError": sqlite3.ProgrammingError}
    about = {"Cursor": object, "paramstyle": "qmark", "version": "5.2.0"}
    driver = SimpleNamespace(connect=connect, **errors, **about)
    monkeypatch.setitem(sys.modules, "pyodbc", driver)
    url = f"mssql+pyodbc:///?odbc_connect=DRIVER={{SQL Server}};PWD={name};UID=ana"
    for password, sent in (("hush", "hush"), ("a;b}c", "a;b}}c")):
        monkeypatch.setenv("SHOP", password)
        assert "refused" in problem_of(url, sql=SQL)
        assert told.pop() == f"DRIVER={{SQL Server}};PWD={{{sent}}};UID=ana"


def test_options_of_a_database_are_filled_and_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAIT", "5")
    url = f"{database(tmp_path, ROWS)}?timeout=$WAIT"
    assert len(load(url, sql=SQL, columns=BOUGHT).interactions) == 480
    for option in ("passfile=~/.pgpass", "options=-csearch_path=$user", "options=-ca=b;pwd=c"):
        found = problem_of(f"postgresql+psycopg://127.0.0.1:1/shop?{option}", sql=SQL)
        assert "check --data and --sql" in found


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb"])
def test_a_database_file_that_is_not_there_is_not_made(scheme: str, tmp_path: Path) -> None:
    file = tmp_path / "typo.db"
    found = problem_of(f"{scheme}:///{file.as_posix()}", sql=SQL)
    assert found == f"{scheme}:///{file.as_posix()}: there is no such file; check --data"
    assert not file.exists()


def test_a_query_changes_no_database(tmp_path: Path) -> None:
    url = database(tmp_path, ROWS)
    for change in ("drop table orders", "delete from orders", "create table more (a)"):
        assert "readonly database" in problem_of(url, sql=change)
    assert len(load(url, sql=SQL, columns=BOUGHT).interactions) == 480


def test_queries_that_cannot_be(tmp_path: Path) -> None:
    url = database(tmp_path, ROWS)
    assert "no such table: nowhere" in problem_of(url, sql="SELECT * FROM nowhere")
    assert "no item column; columns found: 'buyer'" in problem_of(
        url, sql="SELECT buyer FROM orders", columns=Columns(user="buyer")
    )
    assert "--sql needs --data with the URL of a database" in problem_of("shop.csv", sql=SQL)
    assert "a database needs a query, such as --sql 'SELECT" in problem_of(url)
    assert "the query returns no rows" in problem_of(url, sql=f"{SQL} AND amount > 5")
    assert "install its driver" in problem_of("nosuch://host/db", sql=SQL)
    assert "the query returns no rows" in problem_of(url, sql="")
    twice = "SELECT buyer AS user, item_id, item_id FROM orders"
    assert "'item_id' appears more than once" in problem_of(url, sql=twice)
    mixed = "SELECT 1 AS user, 2 AS item UNION SELECT x'616e61', 3"
    found = problem_of(url, sql=mixed)
    assert "a column has values of several types; use one: CAST it in --sql" in found
    assert "supertype" not in found, "polars' words, which may quote a cell"
    rows = "row 2, column 'user_id': '' is no user id"
    sql = "SELECT 1 AS user_id, 2 AS item_id UNION SELECT NULL, 3"
    assert f"{url}: {rows.replace('2', '1')}" in problem_of(url, sql=sql)


def test_a_cell_that_its_driver_cannot_read_is_not_a_query_without_rows(tmp_path: Path) -> None:
    def of_bytes(cell: bytes) -> int:
        if cell == b"odd":
            raise AttributeError("no such cell")
        return 2 ** int(cell)

    sqlite3.register_converter("power", of_bytes)
    url = f"{database(tmp_path, ROWS)}?detect_types={sqlite3.PARSE_COLNAMES}"
    with pytest.raises(AttributeError, match="no such cell"):
        load(url, sql="SELECT 'odd' AS \"user_id [power]\", 1 AS item_id")
    found = problem_of(url, sql='SELECT 200 AS "user_id [power]", 1 AS item_id')
    assert "a whole number beyond 64 bits; use text: CAST it in --sql" in found


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Address of a server of the files in a folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_file_on_the_web(tmp_path: Path, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log.csv").write_text(CSV)
    told: list[str] = []
    data = load_dataset(f"{web}/log.csv?version=7", announce=told.append)
    assert (data.name, len(data.interactions)) == ("log", 480)
    assert data.interactions.fingerprint == load(str(tmp_path / "log.csv")).interactions.fingerprint
    assert told == [f"fetching {web}/log.csv"]
    (tmp_path / "bad.csv").write_text("user_id,item_id\na,x\n,y\n")
    assert problem_of(f"{web}/bad.csv").startswith(f"{web}/bad.csv: line 3, column 'user_id'")
    monkeypatch.setenv("SIGNED", "hush")
    found = problem_of(f"{web}/none.csv?signature=$SIGNED")
    assert found.startswith(f"{web}/none.csv: cannot be fetched: ")
    assert "hush" not in found


def test_the_login_of_an_address_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setenv("SHOP_KEY", "secret/1")
    address = "http://ana:$SHOP_KEY@127.0.0.1:9/shop.csv?sig=${SHOP_KEY}"
    with pytest.raises(DataError, match="cannot be fetched") as caught:
        load_dataset(address, announce=told.append)
    assert told == ["fetching http://127.0.0.1:9/shop.csv"]
    assert "http://127.0.0.1:9/shop.csv: " in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://ana:hush@x.example/shop.csv",
        "https://hush@x.example/shop.csv",
        "https://x.example/shop.csv?v=1&X-Amz-Signature=hush",
        "https://x.example/shop.csv?access_token=hush",
        "https://x.example/shop.csv?passwd=hush",
        "s3://id:hush@bucket/shop.csv",
    ],
)
def test_an_address_with_a_login_is_refused_since_it_would_be_stored(address: str) -> None:
    found = problem_of(address)
    assert "the address holds a login or a signature" in found
    assert "hush" not in found


def test_a_login_from_the_environment_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    class Guarded(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.headers["Authorization"], self.path))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(CSV.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    monkeypatch.setenv("SHOP_PASSWORD", "h/u%s h")
    monkeypatch.setenv("SHOP_TOKEN", "h%2Fush")
    with ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_port}"
        load(f"http://ana:$SHOP_PASSWORD@{host}/log.csv?v=$&token=$SHOP_TOKEN")
        server.shutdown()
    login = base64.b64encode(b"ana:h/u%s h").decode()
    assert set(asked) == {(f"Basic {login}", "/log.csv?v=$&token=h%2Fush")}


def test_files_and_folders_of_a_store_of_objects() -> None:
    store = fsspec.filesystem("memory")
    store.pipe_file("/bucket/log.csv", CSV.encode())
    lines = CSV.splitlines(keepends=True)
    for number in range(2):
        part = lines[0] + "".join(lines[1 + 240 * number : 241 + 240 * number])
        store.pipe_file(f"/bucket/events/part-{number}.csv", part.encode())
        store.pipe_file(f"/bucket/events.csv/part-{number}.csv", part.encode())  # as Spark does
    file, folder = load("memory://bucket/log.csv"), load("memory://bucket/events/")
    dotted = load("memory://bucket/events.csv/")
    assert (file.name, folder.name) == ("log", "events")
    assert dotted.interactions.fingerprint == folder.interactions.fingerprint
    assert file.interactions.fingerprint == folder.interactions.fingerprint
    assert "memory://bucket/none.csv: cannot be fetched" in problem_of("memory://bucket/none.csv")
    assert "nosuch://bucket/x.csv: " in problem_of("nosuch://bucket/x.csv")


@pytest.fixture
def no_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without a login to AWS, and without the question for a machine's own."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("s3fs.S3FileSystem.cachable", False)  # one made before may have a login
    return monkeypatch


def test_a_store_without_a_login_says_which_variables_give_one(
    no_aws: pytest.MonkeyPatch,
) -> None:
    found = problem_of("s3://bucket/events.parquet")
    assert found.startswith(
        "s3://bucket/events.parquet: cannot be fetched: Unable to locate credentials; "
    )
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in found


def test_a_store_out_of_reach_is_named(no_aws: pytest.MonkeyPatch) -> None:
    no_aws.setenv("AWS_ACCESS_KEY_ID", "id")
    no_aws.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    no_aws.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    found = problem_of("s3://bucket/events/")
    assert found.startswith("s3://bucket/events/: cannot be fetched: Could not connect")
    assert "hush" not in found


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("demo", "demo"),
        ("https://x.example/deep/events.csv.gz?a=b.c", "events"),
        ("s3://bucket/events/", "events"),
        ("postgresql+psycopg://me:$X@host:5432/shop", "shop"),
        ("sqlite:///deep/shop.db", "shop"),
        ("deep/my.shop.csv", "my.shop"),
    ],
)
def test_the_short_name(source: str, name: str) -> None:
    assert short_name(source) == name


def test_the_name_of_files_by_wildcards_is_that_of_their_folder(tmp_path: Path) -> None:
    pl.DataFrame(ROWS, ["user", "item", "ts"], orient="row").write_parquet(tmp_path / "a.parquet")
    pattern = str(tmp_path / "*.parquet")
    assert short_name(pattern) == load(pattern).name == tmp_path.name

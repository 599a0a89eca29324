"""The address of a study: options, then the environment, then the defaults."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from hpo.config.locations import Locations
from hpo.config.next_commands import command, next_lines, shell_line
from hpo.errors import SettingsError
from hpo.reporting.folders import folder_name
from hpo.study.locks import sqlite_path
from recsys.datasets.database import address_only
from recsys.passwords import public_uri, without_password

URL = "postgresql+psycopg://me:secret@db/team"


def test_the_storage_comes_from_the_option_then_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HPO_STORAGE", URL)
    assert Locations.resolve(None, None).storage == URL
    assert Locations.resolve("sqlite:///a.db", None).storage == "sqlite:///a.db"
    monkeypatch.setenv("HPO_STORAGE", "")
    assert Locations.resolve(None, None).storage == "sqlite:///studies/optuna.db"


def test_a_storage_that_means_another_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cure = "sqlite://a/b.db: write three slashes: sqlite:///a/b.db"
    with pytest.raises(SettingsError, match=f"^--storage {cure}"):
        Locations.resolve("sqlite://a/b.db", None)
    monkeypatch.setenv("HPO_STORAGE", "sqlite://a/b.db")
    with pytest.raises(SettingsError, match=rf"^\$HPO_STORAGE {cure}"):
        Locations.resolve(None, None)


def test_an_artifact_store_that_is_no_address_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(
        SettingsError, match=r"--artifacts s3://\.\.\.: Invalid IPv6 URL; give"
    ) as e:
        Locations.resolve(None, None, artifacts="s3://me:hush@[b")
    assert "hush" not in str(e.value)
    monkeypatch.setenv("HPO_ARTIFACTS", "s3://me:hush@[b")
    with pytest.raises(SettingsError, match=r"^\$HPO_ARTIFACTS s3://\.\.\.: Invalid IPv6 URL"):
        Locations.resolve(None, None)


def test_next_commands_leave_out_the_storage_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    line = command("report", "s", Locations(URL))
    assert "--storage 'postgresql+psycopg://me:***@db/team'" in line
    assert "set HPO_STORAGE" in "\n".join(next_lines({line: "read"}))
    monkeypatch.setenv("HPO_STORAGE", URL)
    assert "--storage" not in command("report", "s", Locations(URL))
    assert "--storage" not in command("report", "s")
    assert "--storage sqlite:///studies/optuna.db" in command("report", "s", Locations())


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://db/team?password=hush", "postgresql://db/team?password=***"),
        (
            "postgresql://me:a@db/t?sslmode=require&sslpassword=h%20u&sslkey=k.pem",
            "postgresql://me:***@db/t?sslmode=require&sslpassword=***&sslkey=k.pem",
        ),
        ("mysql://db/t?PASSWD=hush#end", "mysql://db/t?PASSWD=***#end"),
        ("mssql://db/t?a=1&Pwd=hush", "mssql://db/t?a=1&Pwd=***"),
        ("duckdb:///md:t?motherduck_token=hush", "duckdb:///md:t?motherduck_token=***"),
        ("duckdb:///t?s3_secret_access_key=hush", "duckdb:///t?s3_secret_access_key=***"),
        (
            "mssql:///?odbc_connect=UID%3Da%3BPWD%3Dhush%3BX%3D1&b=2",
            "mssql:///?odbc_connect=UID%3Da%3BPWD%3D***%3BX%3D1&b=2",
        ),
        (
            "mssql:///?odbc_connect=DRIVER={ODBC Driver 18 for SQL Server};UID=me;PWD=hush",
            "mssql:///?odbc_connect=DRIVER={ODBC Driver 18 for SQL Server};UID=me;PWD=***",
        ),
        (
            "mssql:///?odbc_connect=Password = hu sh;UID=me",
            "mssql:///?odbc_connect=Password = ***;UID=me",
        ),
        ("mssql:///?odbc_connect=PWD={h;u}};sh};UID=me", "mssql:///?odbc_connect=PWD=***;UID=me"),
        ("mssql:///?odbc_connect=PWD={hu;sh", "mssql:///?odbc_connect=PWD=***"),
        (
            "mssql:///?odbc_connect=DRIVER%3D%7BODBC+18%7D%3BPWD%3D%7Bh%3B+u%7D%3BX%3D1",
            "mssql:///?odbc_connect=DRIVER%3D%7BODBC+18%7D%3BPWD%3D***%3BX%3D1",
        ),
        (
            "--data 'mssql:///?odbc_connect=A={b c};PWD=hu sh' --sql 'SELECT 1'",
            "--data 'mssql:///?odbc_connect=A={b c};PWD=***' --sql 'SELECT 1'",
        ),
        ("duckdb:///t?apiKey=hush&s3.secret=hush", "duckdb:///t?apiKey=***&s3.secret=***"),
        ("mysql://db/t?dbPass=hush&db_pass=hush", "mysql://db/t?dbPass=***&db_pass=***"),
        ("postgresql://me@db/t?password=a@b&user=me", "postgresql://me@db/t?password=***&user=me"),
        (
            "--storage 'postgresql://db/t?password=hush'",
            "--storage 'postgresql://db/t?password=***'",
        ),
        ("postgresql://db/t?passfile=~/.pgpass", "postgresql://db/t?passfile=~/.pgpass"),
        ("postgresql://me@srv:hush@srv.db/t", "postgresql://me@srv:***@srv.db/t"),
        ("postgresql://me@db:5432/t", "postgresql://me@db:5432/t"),
        ("'postgresql://me:hu sh@db/t'", "'postgresql://me:hu sh@db/t'"),
    ],
)
def test_a_password_in_a_query_is_hidden(given: str, shown: str) -> None:
    assert without_password(given) == shown


@pytest.mark.parametrize(
    "option",
    [
        "allow_persistent_secrets=false",
        "secret_directory=/run/secrets",
        "compass=north",
        "bypass=true",
        "max_tokens=5",
        "sslkey=k.pem",
        "odbc_connect=DRIVER={SQL};PWDX=1;UID=me;PWD=;Encrypt=yes",
    ],
)
def test_a_harmless_option_stays(option: str) -> None:
    for url in (f"duckdb:///t?{option}", f"duckdb:///t?a=1&{option}&b=2"):
        assert without_password(url) == public_uri(url) == url


def test_a_password_in_a_query_is_in_no_command_and_no_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HPO_STORAGE", raising=False)
    url = "postgresql+psycopg://me@db/team?sslpassword=hush"
    line = command("report", "s", Locations(url))
    assert "hush" not in line
    assert "set HPO_STORAGE" in "\n".join(next_lines({line: "read"}))
    assert public_uri(url) == "postgresql+psycopg://db/team?sslpassword=***"
    with pytest.raises(SettingsError, match=r"password=\*\*\*': must be an SQLite file"):
        sqlite_path("mysql://db/team?password=hush")


def test_the_artifact_store_comes_from_the_option_then_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HPO_ARTIFACTS", raising=False)
    assert Locations.resolve(None, None).artifacts is None
    line = command("report", "s", Locations(artifacts="s3://team/studies"))
    assert line.endswith("--artifacts s3://team/studies")
    assert "--artifacts" not in command("replay", "s", Locations(artifacts="s3://team/studies"))
    monkeypatch.setenv("HPO_ARTIFACTS", "s3://team/studies")
    assert Locations.resolve(None, None).artifacts == "s3://team/studies"
    assert Locations.resolve(None, None, artifacts="../store").artifacts == "../store"
    assert "--artifacts" not in command("report", "s", Locations(artifacts="s3://team/studies"))
    assert "--artifacts" not in command("report", "s", Locations())
    with pytest.raises(SettingsError, match="--artifacts is empty"):
        Locations.resolve(None, None, artifacts=" ")


@pytest.mark.parametrize(
    "url", ["s3://id:hush@team/x", "s3://hush@team/x", "gs://team/x?token=hush", "az://team/x#hush"]
)
def test_an_artifact_store_with_a_login_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SettingsError, match="the address holds a login or options") as error:
        Locations.resolve(None, None, artifacts=url)
    assert "hush" not in str(error.value)


def test_an_artifact_store_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(SettingsError, match="a web address cannot be written; give a folder"):
        Locations.resolve(None, None, artifacts="https://shop.example/store")


@pytest.mark.parametrize("name", ["s" * 300, "é" * 150, "日本" * 100])
def test_a_long_name_is_a_folder_of_its_own(tmp_path: Path, name: str) -> None:
    (tmp_path / folder_name(name)).mkdir()
    assert folder_name(name) != folder_name(f"{name}x")


def test_next_commands_leave_out_the_mlflow_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = "postgresql://me:secret@db/mlflow"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    line = command("serve", locations=Locations(tracking_uri=uri))
    assert "--tracking-uri 'postgresql://me:***@db/mlflow'" in line
    assert "set MLFLOW_TRACKING_URI" in "\n".join(next_lines({line: "serve"}))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert Locations.resolve(None, None).tracking_uri == uri
    assert "--tracking-uri" not in command("serve", locations=Locations(tracking_uri=uri))
    assert "--tracking-uri" not in command("serve")


@pytest.mark.parametrize("name", ["$SHOP_PASSWORD", "${SHOP_PASSWORD}"])
def test_the_name_of_a_variable_is_no_password(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"postgresql+psycopg://me:{name}@h/shop"
    monkeypatch.setenv("SHOP_PASSWORD", "hush")
    assert without_password(url) == url
    option = f"postgresql+psycopg://h/shop?password={name}&a=b"
    assert without_password(option) == option
    odbc = f"mssql+pyodbc:///?odbc_connect=DRIVER={{SQL Server}};UID=me;PWD={name}"
    in_braces = odbc.replace(name, f"{{{name}}};Encrypt=yes")
    for text in (odbc, in_braces, quote(odbc, ":/?="), quote(in_braces, ":/?=")):
        assert without_password(text) == text
    monkeypatch.delenv("SHOP_PASSWORD")
    assert without_password(odbc).endswith("UID=me;PWD=***")
    assert without_password(in_braces).endswith("UID=me;PWD=***;Encrypt=yes")
    assert without_password(url) == "postgresql+psycopg://me:***@h/shop"
    assert without_password(option) == "postgresql+psycopg://h/shop?password=***&a=b"


@pytest.mark.parametrize("password", ["a/b", "a#b", "a?b", "a@b"])
def test_no_letter_of_a_password_shows_it(password: str) -> None:
    url = f"postgresql://me:{password}@host/db"
    assert public_uri(url) == "postgresql://host/db"
    assert address_only(url) == "postgresql://host/db"
    assert without_password(url) == "postgresql://me:***@host/db"


def test_powershell_gets_its_own_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("python", "-m", "hpo.run", "--item-features", "genres,year", "--study-name", "Juan's")
    assert shell_line(*words).endswith("--item-features genres,year --study-name 'Juan'\"'\"'s'")
    monkeypatch.setattr("hpo.config.next_commands.os.name", "nt")
    wanted = "python -m hpo.run --item-features 'genres,year' --study-name 'Juan''s'"
    assert shell_line(*words) == wanted


@pytest.mark.parametrize(
    ("uri", "public"),
    [
        ("https://data.example:8443/@team/x.csv", "https://data.example:8443/@team/x.csv"),
        ("http://mlflow:5000/#/experiments/1?x=a@b", "http://mlflow:5000/#/experiments/1?x=a@b"),
        ("postgresql://h:5432/db?user=me@azure", "postgresql://h:5432/db?user=me@azure"),
        ("mssql://u:p@h/db?driver=a@b", "mssql://h/db?driver=a@b"),
    ],
)
def test_a_port_is_no_password(uri: str, public: str) -> None:
    assert public_uri(uri) == public


def test_the_hint_names_what_hides_a_password() -> None:
    one = Locations("postgresql://me:secret@db/team", "http://mlflow:5000")
    (_, hint, *_) = next_lines({command("report", "s", one): "read"})
    assert hint.endswith("or set HPO_STORAGE and leave the option out")
    data = command("report", "s", Locations(), data="postgresql://me:$UNSET@h/shop")
    (_, hint, *_) = next_lines({data: "read"})
    assert hint.endswith("or set the variable that --data named")

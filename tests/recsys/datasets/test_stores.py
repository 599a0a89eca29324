"""What people are told by stores of objects that refuse."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote, urlsplit

import fsspec
import pytest
from fsspec.registry import _registry

from recsys.datasets.registry import load_dataset
from recsys.errors import DataError

Problem = Callable[[str, Callable[[str], str]], str]


class DriverError(Exception):
    """Drivers are plug-ins, whose errors have nothing in common."""


@pytest.fixture
def problem_of(monkeypatch: pytest.MonkeyPatch) -> Problem:
    """Error of reading an address whose driver refuses it with words of its own."""

    def problem_of(address: str, words: Callable[[str], str]) -> str:
        class Store(fsspec.AbstractFileSystem):
            cachable = False

            @staticmethod
            def _get_kwargs_from_urls(url: str) -> dict[str, str]:
                return {"url": url}

            def __init__(self, url: str) -> None:
                raise DriverError(words(url))

        monkeypatch.setitem(_registry, urlsplit(address).scheme, Store)
        with pytest.raises(DataError) as error:
            load_dataset(address, announce=lambda _: None)
        return str(error.value)

    return problem_of


def test_no_error_of_a_driver_shows_a_login(
    problem_of: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def repeated(url: str) -> str:
        parts = urlsplit(url)
        return f"{url}: {unquote(str(parts.password))!r}, {parts.query[6:]!r} wrong"

    monkeypatch.setenv("SHOP_PASSWORD", "hu/sh")
    monkeypatch.setenv("SHOP_TOKEN", "hush2")
    address = "talkative://ana:$SHOP_PASSWORD@host/log.csv?token=$SHOP_TOKEN"
    found = problem_of(address, repeated)
    assert found.startswith("talkative://host/log.csv: cannot be fetched: ")
    assert "hu" not in found


@pytest.mark.parametrize(
    ("login", "words", "shown"),
    [
        ("$SHORT@", "Connection timed out by me", "Connection timed out by ***"),
        ("ana:$SHORT@", "timed out: (ana, me, b'me')", "timed out: (ana, ***, b'***')"),
        ("ana:$LONG@", "no %3Alonghush", "no %3A***"),
        ("ana:$SHORT@", "ana:me@host, some@host", "host, some@host"),
        ("$SHORT@", "some@host", "some@host"),
        ("", "some time", "some time"),
    ],
)
def test_a_login_hides_no_part_of_a_word(
    login: str, words: str, shown: str, problem_of: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHORT", "me")
    monkeypatch.setenv("LONG", "longhush")
    found = problem_of(f"talkative://{login}host/log.csv", lambda _: words)
    assert found == f"talkative://host/log.csv: cannot be fetched: {shown}"


@pytest.mark.parametrize("container", ["data", "$CONTAINER"])
@pytest.mark.parametrize("scheme", ["abfs", "abfss"])
def test_a_container_of_azure_is_no_login(
    scheme: str, container: str, problem_of: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTAINER", "data")
    address = f"{scheme}://{container}@shop.dfs.core.windows.net/log.csv"
    found = problem_of(address, lambda url: f"no data in database {url.partition('@')[0]}")
    assert f"cannot be fetched: no data in database {scheme}://data; check the address" in found


@pytest.mark.parametrize(
    "address", ["abfss://data:hush@shop.dfs.core.windows.net/log.csv", "az://hush@shop/log.csv"]
)
def test_a_login_of_azure_is_refused(address: str, problem_of: Problem) -> None:
    found = problem_of(address, lambda _: "never asked")
    assert "the address holds a login or a signature" in found
    assert "hush" not in found

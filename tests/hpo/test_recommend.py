"""The table of recommendations equals what one by one is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hpo.errors import HpoError, SettingsError
from hpo.recommend import main
from hpo.serving import bulk
from recsys.recommender import Recommender
from tests.hpo.registered import Registered
from tests.recsys.trained import trained


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bulk, "CHUNK", 7)
    registered = Registered(tmp_path)
    registered.add()
    return ["--tracking-uri", registered.uri, "--out", str(tmp_path / "top.parquet")]


def expected(users: list[str], k: int, *, as_measured: bool = False) -> list[tuple[Any, ...]]:
    model = trained()
    history = model.history if as_measured else model.parts.interactions
    answers = Recommender(model.model, history).recommend(users, k)
    return [
        (user, rank, item, pytest.approx(score, abs=1e-5), answer.source)
        for user, answer in zip(users, answers, strict=True)
        for rank, (item, score) in enumerate(answer.items, 1)
    ]


@pytest.mark.parametrize("k", [1, 10, 1000])
@pytest.mark.parametrize("as_measured", [False, True])
def test_all_users(
    command: list[str],
    tmp_path: Path,
    k: int,
    as_measured: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ["--as-measured"] if as_measured else []
    assert main([*command, *flags, "--users", "all", "--k", str(k)]) == 0
    table = pl.read_parquet(tmp_path / "top.parquet")
    users = list(trained().history.user_ids)
    assert table.rows() == expected(users, k, as_measured=as_measured)
    assert table.columns == ["user_id", "rank", "item_id", "score", "source"]
    out = capsys.readouterr().out
    assert f"top {k} of models:/two-tower@champion (version 1) for 60 users; " in out
    assert out.endswith(" users/s\n")
    assert not list(tmp_path.glob(".recommend-*"))


@pytest.mark.parametrize("kind", ["lines", "header", "parquet"])
def test_users_of_a_file(command: list[str], tmp_path: Path, kind: str) -> None:
    asked = ["u5", "nobody", "u3", "u5", *(f"x{i}" for i in range(9)), "u4"]
    path = tmp_path / "users"
    if kind == "parquet":
        path = path.with_suffix(".parquet")
        pl.DataFrame({"other": [1] * len(asked), "user_id": asked}).write_parquet(path)
    else:
        lines = ["user_id", *asked] if kind == "header" else [*asked, ""]
        path.write_text("\r\n".join(lines), encoding="utf-8")
    out = tmp_path / "top.csv"
    assert main([*command[:2], "--out", str(out), "--users", str(path), "--k", "2"]) == 0
    users = ["u5", "u3", "u4", "nobody", *(f"x{i}" for i in range(9))]
    assert pl.read_csv(out).rows() == expected(users, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--users", "all", "--k", "0"], "--k=0: must be an integer"),
        (["--users", "all", "--out", "top.xls"], r"must end in \.parquet or \.csv"),
        (["--users", "all", "--out", "no/top.csv"], "the folder no does not exist"),
        (["--users", "missing"], "--users missing: cannot be read"),
        (["--users", "empty"], "--users empty: names nobody"),
        (["--users", "other.parquet"], "a Parquet file with a column user_id"),
        (["--users", "all", "--model", "two-tower"], "must be models:/NAME@ALIAS"),
    ],
)
def test_wrong_options(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_text("user_id\n\n")
    pl.DataFrame({"person": ["u1"]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(SettingsError, match=message):
        main([*command, *options])


def test_a_failed_write_leaves_nothing(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "top.parquet").mkdir()
    with pytest.raises(HpoError, match=r"top\.parquet: cannot be written"):
        main([*command, "--users", "all"])
    assert not list(tmp_path.glob(".recommend-*"))

"""The table of recommendations equals what one by one is answered."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from filelock import FileLock

from hpo.errors import HpoError
from hpo.recommend import main, progress_line
from hpo.serving import bulk, user_files
from recsys.cli.output_file import LOCK
from recsys.errors import Problems
from recsys.retrieval.recommender import Recommender
from tests.support.registered import Registered
from tests.support.trained import trained


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


@pytest.mark.parametrize("kind", ["lines", "header", "parquet", "table"])
def test_users_of_a_file(command: list[str], tmp_path: Path, kind: str) -> None:
    asked = ["u5", "nobody", "u3", "u5", *(f"x{i}" for i in range(9)), "u4"]
    path = tmp_path / "users"
    if kind == "parquet":
        path = path.with_suffix(".parquet")
        pl.DataFrame({"other": [1] * len(asked), "user_id": asked}).write_parquet(path)
    elif kind == "table":
        path = path.with_suffix(".csv")
        rows = [f'5;"{user}"' for user in asked]
        path.write_text("\n".join(["other;user_id", *rows, "6"]), encoding="utf-8")
    else:
        lines = ["user_id", *asked] if kind == "header" else [*asked, ""]
        path.write_text("\r\n".join(lines), encoding="utf-8")
    out = tmp_path / "top.csv"
    assert main([*command[:2], "--out", str(out), "--users", str(path), "--k", "2"]) == 0
    users = ["u5", "u3", "u4", "nobody", *(f"x{i}" for i in range(9))]
    assert pl.read_csv(out).rows() == expected(users, 2)


@pytest.mark.parametrize("head", ["Kunde", "customer_id", "user"])
def test_a_usual_name_of_the_column_is_no_user(
    command: list[str], tmp_path: Path, head: str
) -> None:
    out = tmp_path / "top.csv"
    tables = {"alone.csv": f"{head}\nu5\n", "two.csv": f"age,{head}\n40,u5\n"}
    for name, text in tables.items():
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        assert main([*command[:2], "--out", str(out), "--users", str(path), "--k", "2"]) == 0
        assert pl.read_csv(out).rows() == expected(["u5"], 2)


def test_the_items_of_one_user_are_shown(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = [*command[:2], "--user", "u5", "--user", "nobody", "--k", "2"]
    assert main(call) == 0
    out, err = capsys.readouterr()
    assert not err
    assert "top 2 of models:/two-tower@champion (version 1)" in out
    rows = [line.split() for line in out.splitlines() if " u5 " in line or " nobody " in line]
    wanted = expected(["u5", "nobody"], 2)
    assert [(row[1], row[5], row[9]) for row in rows] == [
        (user, item, source) for user, _, item, _, source in wanted
    ]
    assert main([*call, "--out", str(tmp_path / "few.csv")]) == 0
    assert pl.read_csv(tmp_path / "few.csv").rows() == wanted
    assert main([*command[:2], "--user", "nobody", "-k", "1"]) == 0
    assert "knows none of these 1 user, so all get popular items" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command[:2], "--user", " "])
    assert "--user is empty; give an id" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command[:2], "--users", "all"])
    assert "--users needs --out FILE" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*call, "--spreadsheet-safe"])
    assert "--spreadsheet-safe needs --out FILE.csv" in capsys.readouterr().err


def test_ids_are_shown_whole_and_as_they_are(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    long = f":book:[bold]{'x' * 150}"
    assert main([*command[:2], "--user", long, "--user", long, "--k", "1"]) == 0
    cells = [
        line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if "│" in line
    ]
    assert "".join(cells) == long


def test_whole_numbers_written_as_floats_are_looked_up_as_integers(tmp_path: Path) -> None:
    history = trained().parts.interactions
    numbers = ["12.0", *map(str, range(2, history.n_users + 1))]
    recommender = Recommender(trained().model, replace(history, user_ids=tuple(numbers)))
    path = tmp_path / "users"
    path.write_text("3.0\n12.0\n3\n4.5\n999.0\n", encoding="utf-8")
    users = bulk.read_users(str(path), recommender)
    assert [numbers[position] for position in users.known] == ["3", "12.0"]
    assert users.unknown == ("4.5", "999.0")


def test_the_separator_is_that_of_the_readers(tmp_path: Path) -> None:
    """Quoted marks are letters, and a name may hold more bars than the line has commas."""
    path = tmp_path / "users.csv"
    path.write_text('user_id,genres\nu5,"a|b|c|d"\nu3,a|b|c\n', encoding="utf-8")
    assert user_files.user_ids(str(path)) == ["u5", "u3"]
    path.write_text('user_id,"a;b;c"\nu5,1\n', encoding="utf-8")
    assert user_files.user_ids(str(path)) == ["u5"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
@pytest.mark.parametrize("name", ["users[1].parquet", "users*.parquet", "users?.parquet"])
def test_a_file_name_is_no_pattern(tmp_path: Path, name: str) -> None:
    pl.DataFrame({"user_id": ["u1"]}).write_parquet(tmp_path / name)
    pl.DataFrame({"user_id": ["u2"]}).write_parquet(tmp_path / "users1.parquet")
    assert user_files.user_ids(str(tmp_path / name)) == ["u1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--users", "all", "--k", "0"], "--k=0: must be an integer"),
        (["--users", "all", "--out", "top.xls"], r"must end in \.parquet or \.csv"),
        (["--users", "all", "--out", "no/top.csv"], "the folder no does not exist"),
        (["--users", ""], "--users : cannot be read"),
        (["--users", "missing"], "--users missing: there is no such file; give `all`"),
        (["--users", "."], r"--users \.: cannot be read \(Is a directory\); give"),
        (["--users", "two.csv"], "it has 2 columns, and line 1 calls none user_id"),
        (["--users", "latin"], "--users latin: line 2 is not UTF-8"),
        (["--users", "empty"], "--users empty: contains no user id"),
        (
            ["--users", "other.parquet"],
            r"no column or several may be the users': 'person'\); give [^\n]*$",
        ),
        (["--users", "all", "--model", "two:tower"], "such as two-tower, models:/NAME@ALIAS or"),
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
    (tmp_path / "two.csv").write_text("u1,a@b.example\nu2,c@d.example\n")
    (tmp_path / "latin").write_bytes("u1\nñ\n".encode("latin-1"))
    pl.DataFrame({"person": ["u1"]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(Problems, match=message):
        main([*command, *options])


def test_a_failed_write_leaves_nothing(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "top.parquet").mkdir()
    with pytest.raises(HpoError, match=r"top\.parquet: cannot be written"):
        main([*command, "--users", "all"])
    assert not list(tmp_path.glob(".recommend-*"))


def test_what_killed_calls_left_goes(command: list[str], tmp_path: Path) -> None:
    dead, alive, young = (tmp_path / f".recommend-{name}" for name in ("dead", "alive", "young"))
    for folder in (dead, alive, young):
        folder.mkdir()
        (folder / "top.parquet").write_text("half")
    with FileLock(alive / LOCK):
        for folder in (dead, alive):
            os.utime(folder, (0, 0))
        assert main([*command, "--users", "all"]) == 0
    assert [folder.exists() for folder in (dead, alive, young)] == [False, True, True]


def test_the_line_of_a_terminal_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    show = progress_line(20, time.perf_counter())
    show(10)
    show(20)
    first, last = capsys.readouterr().err.rstrip("\r").split("\r")[1:]
    assert first.startswith("10 of 20 users")
    assert last.strip() == "" and len(last) >= len(first)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_ids_that_look_like_formulas(tmp_path: Path, suffix: str) -> None:
    parts = trained().parts.interactions
    ids = ("=1+1", "-7", *map(str, range(2, parts.n_users)))
    items = tuple(f"@{item}" for item in parts.item_ids)
    recommender = Recommender(trained().model, replace(parts, user_ids=ids, item_ids=items))
    users = bulk.Users(np.array([0, 1, 2]), ("+9",))
    path, rows = tmp_path / f"top{suffix}", {}
    read = pl.read_csv if suffix == ".csv" else pl.read_parquet
    for safe in (False, True):
        bulk.write_top(recommender, users, 2, path, lambda _: None, spreadsheet_safe=safe)
        rows[safe] = read(path)
    assert set(rows[False]["user_id"]) == {"=1+1", "-7", "2", "+9"}
    if suffix == ".parquet":
        assert rows[True].equals(rows[False])
        return
    assert set(rows[True]["user_id"]) == {"'=1+1", "'-7", "2", "'+9"}
    assert rows[True]["item_id"].to_list() == [f"'{item}" for item in rows[False]["item_id"]]
    assert rows[True].drop("user_id", "item_id").equals(rows[False].drop("user_id", "item_id"))

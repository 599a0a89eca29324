"""A table goes where it was asked for; what is no file, and what is a link, stays what it is."""

from __future__ import annotations

import os
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from hpo.errors import StudyError
from hpo.recommend import parser as recommend_parser
from hpo.report import parser as report_parser
from hpo.reporting.export import STDOUT, check_files, write_frame
from recsys.errors import Problems

FRAME = pl.DataFrame({"number": [0, 1]})
TEXT = "number\n0\n1\n"


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "real.csv", tmp_path / "link.csv"
    for before in (None, "old"):  # None: it leads to nothing yet
        if before:
            real.write_text(before)
        else:
            link.symlink_to(real)
        assert write_frame(FRAME, link, None) == [link]
        assert link.is_symlink()
        assert real.read_text() == TEXT
    assert {path.name for path in tmp_path.rglob("*")} == {"link.csv", "there", "real.csv"}


@pytest.mark.skipif(os.name == "nt", reason="has no such pipes")
def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    check_files(pipe, None)
    write_frame(FRAME, pipe, None)
    reader.join(10)
    assert got == [TEXT]
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_csv_to_stdout(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    check_files(STDOUT, None)
    write_frame(FRAME, STDOUT, None)
    assert capfdbinary.readouterr().out == TEXT.encode()


@pytest.mark.parametrize(
    ("csv", "parquet", "message"),
    [
        ("studies/optuna.db", None, r"--csv studies/optuna\.db: must end in \.csv"),
        ("x.parquet", None, r"--csv x\.parquet: must end in \.csv"),
        ("x.csv", "x", r"--parquet x: must end in \.parquet"),
        (None, "-", "Parquet is no text format; give a file, or use --csv -"),
    ],
)
def test_names_that_are_refused(csv: str | None, parquet: str | None, message: str) -> None:
    with pytest.raises(Problems, match=message):
        check_files(csv and Path(csv), parquet and Path(parquet))  # type: ignore[arg-type]


def test_a_folder_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "all.csv").mkdir()
    with pytest.raises(StudyError, match="all.csv cannot be written"):
        write_frame(FRAME, tmp_path / "all.csv", None)
    assert list(tmp_path.iterdir()) == [tmp_path / "all.csv"]


RISKY = ["=cmd|' /C calc'!A0", "@SUM(1+1)", "+1", "-1+2", "\t=1", "\r=1", "\n=1", "\uff1d1"]


def test_text_that_a_spreadsheet_would_run_is_quoted(tmp_path: Path) -> None:
    texts = [*RISKY, "u-1", "'=1", "", None]
    numbers = [-1.5] * len(texts)
    frame = pl.DataFrame({"id": texts, "number": numbers, "count": [-2] * len(texts)})
    csv, parquet = tmp_path / "x.csv", tmp_path / "x.parquet"
    write_frame(frame, csv, parquet, spreadsheet_safe=True)
    found = pl.read_csv(csv, schema=frame.schema)
    assert found["id"].to_list() == [*(f"'{text}" for text in RISKY), "u-1", "'=1", "", None]
    assert found.drop("id").equals(frame.drop("id"))
    assert pl.read_parquet(parquet).equals(frame)
    write_frame(frame, csv, None)
    assert pl.read_csv(csv, schema=frame.schema).equals(frame)
    write_frame(FRAME, csv, None, spreadsheet_safe=True)  # no text at all
    assert csv.read_text() == TEXT


@pytest.mark.parametrize("parser", [report_parser, recommend_parser])
def test_help_tells_of_formulas(parser: Callable[[], ArgumentParser]) -> None:
    assert "a spreadsheet would run it as a formula" in " ".join(parser().format_help().split())

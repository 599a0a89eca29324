"""MovieLens side tables: u.user and users.dat, u.item and movies.dat with the year split off."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from recsys.data import Ints64
from recsys.messages import SHOWN, count
from recsys.readers.columns import AUTO
from recsys.readers.side_tables import Side, read_side_table
from recsys.readers.tables.frame import FrameTable

GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
)  # fmt: skip
_USER_DAT, _ITEM_DAT = 5, 3  # fields of a line of users.dat and of movies.dat
_Parser = Callable[[bytes], pl.DataFrame]
_Wanted = tuple[Side, Path | None, _Parser]


def read_u_tables(
    users: Path | None, items: Path | None, problems: list[str]
) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    """Read the user and item tables of an unpacked official archive.

    Args:
        users: u.user, or None if it is missing.
        items: u.item, or None if it is missing.
        problems: list that receives a line for each problem found.

    Returns:
        (user table, item table), None in place of a table that is missing or cannot be read.
    """
    return _read_both((("user", users, user_table), ("item", items, item_table)), problems)


def read_dat_tables(
    users: Path | None, items: Path | None, problems: list[str], remarks: list[str]
) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    """Read the user and item tables beside ratings.dat, as in MovieLens-1M.

    Args:
        users: users.dat, or None if it is missing.
        items: movies.dat, or None if it is missing.
        problems: list that receives a line for each problem found.
        remarks: list that receives a line for each table of another form, as MovieTweetings has.

    Returns:
        (user table, item table), None in place of a table that is missing, cannot be read or is of
        another form.
    """
    wanted: tuple[tuple[Side, Path | None, _Parser, int], ...] = (
        ("user", users, _user_dat, _USER_DAT),
        ("item", items, _item_dat, _ITEM_DAT),
    )
    known: list[_Wanted] = []
    for side, path, parse, width in wanted:
        found = _first_width(path, "::") if path else 0
        known.append((side, path if found in {0, width} else None, parse))
        if found not in {0, width}:
            remarks.append(
                f"{path}: not used: its lines have {count(found, 'field')}, not the {width} of "
                f"MovieLens; for {side} features, save ratings.csv and {side}s.csv with header "
                "lines"
            )
    return _read_both(known, problems)


def _first_width(path: Path, separator: str) -> int:
    """Return the number of fields of the first filled line; 0 if there is none to be read."""
    try:
        lines = _filled_lines(path.read_bytes())
    except OSError:
        return 0
    return len(lines[0][1].split(separator)) if lines else 0


def _read_both(
    wanted: Iterable[_Wanted], problems: list[str]
) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    frames: list[pl.DataFrame | None] = []
    for side, path, parse in wanted:
        try:
            frame = parse(path.read_bytes()) if path else None
        except (OSError, ValueError, IndexError) as error:
            frame = None
            problems.append(f"{path}: {first_line(error)}; unpack the archive again")
        if path and frame is not None:
            table = _LinesTable(path, tuple(frame.columns), None, frame=frame, label=str(path))
            frame = read_side_table(table, side, AUTO, problems, [])
        frames.append(frame)
    return frames[0], frames[1]


@dataclass(frozen=True)
class _LinesTable(FrameTable):
    """The parsed lines of a file, whose rows are named by their lines."""

    @property
    def row_word(self) -> str:
        """Return "line", the word for a position in this file."""
        return "line"

    def line_numbers(self, rows: Sequence[int] | Ints64) -> list[int]:
        """Return the line numbers of the first SHOWN row positions.

        Args:
            rows: row positions from 0, ascending.
        """
        numbers = [number for number, _ in _filled_lines(self.path.read_bytes())]
        return [numbers[row] for row in rows[:SHOWN]]


def _user_dat(data: bytes) -> pl.DataFrame:
    """Parse users.dat (id::gender::age::occupation::zip), without the ZIP codes."""
    rows = [row[:4] for row in _fields(data, _USER_DAT, "::")]
    schema = {"user_id": pl.String, "gender": pl.String, "age": pl.Int64, "occupation": pl.String}
    return pl.DataFrame(
        [(user, gender, _age(age), work) for user, gender, age, work in rows], schema, orient="row"
    )


def _item_dat(data: bytes) -> pl.DataFrame:
    """Parse movies.dat (id::title (year)::genres) into item_id, title, year, genres."""
    rows = [(row[0], *_split_year(row[1]), row[2]) for row in _fields(data, _ITEM_DAT, "::")]
    return pl.DataFrame(rows, _ITEM_SCHEMA, orient="row")


_ITEM_SCHEMA = {"item_id": pl.String, "title": pl.String, "year": pl.Int64, "genres": pl.String}


def user_table(data: bytes) -> pl.DataFrame:
    """Parse u.user (id|age|gender|occupation|zip) into user_id, age, gender, occupation.

    Args:
        data: bytes of the file.

    Raises:
        ValueError: the file is empty, or a line has another number of fields.
    """
    rows = _fields(data, 5)
    return pl.DataFrame(
        [(row[0], _age(row[1]), row[2], row[3]) for row in rows],
        schema={"user_id": pl.String, "age": pl.Int64, "gender": pl.String,
                "occupation": pl.String},
        orient="row",
    )  # fmt: skip


def item_table(data: bytes) -> pl.DataFrame:
    """Parse u.item into item_id, title, year, genres.

    Args:
        data: bytes of the file, Latin-1: id|title (year)|dates|url|19 flags.

    Raises:
        ValueError: the file is empty, or a line has another number of fields.
    """
    rows = []
    for row in _fields(data, 5 + len(GENRES)):
        title, year = _split_year(row[1])
        genres = [genre for genre, flag in zip(GENRES, row[5:], strict=True) if flag == "1"]
        rows.append((row[0], title, year, "|".join(genres)))
    return pl.DataFrame(rows, _ITEM_SCHEMA, orient="row")


def _fields(data: bytes, width: int, separator: str = "|") -> list[list[str]]:
    """Return the fields of all lines.

    Raises:
        ValueError: the file is empty, or a line does not have `width` fields.
    """
    rows = [(number, line.split(separator)) for number, line in _filled_lines(data)]
    wrong = [number for number, row in rows if len(row) != width]
    if wrong or not rows:
        place = f"line {wrong[0]} does not have" if wrong else "is empty, without"
        raise ValueError(f"{place} the {width} fields of MovieLens")
    return [row for _, row in rows]


def _filled_lines(data: bytes) -> list[tuple[int, str]]:
    """Return (line number, text) of the filled lines, in UTF-8 as MovieLens-10M, or in Latin-1."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line]


def _age(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None


def _split_year(text: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(.*\S)\s*\((\d{4})\)\s*", text)
    return (found[1], int(found[2])) if found else (text.strip(), None)


def first_line(error: Exception) -> str:
    line = str(error).strip().split("\n")[0]
    return textwrap.shorten(line, 300, placeholder=" ...") or type(error).__name__

"""Roles of the files in a folder, by the naming conventions that the reader knows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recsys.errors import DataError
from recsys.messages import listed
from recsys.readers.columns import is_data
from recsys.readers.paths import extension_of, matching_files, stem_of
from recsys.readers.tables.json_lines import EXTENSIONS as JSON
from recsys.readers.tables.mind import BEHAVIORS
from recsys.readers.tables.netflix import FILE_NAME as NETFLIX
from recsys.readers.tables.opening import (
    MOVIELENS_DATA,
    RATINGS_DAT,
    READABLE_TEXT,
    TABLES,
    open_table,
)
from recsys.readers.tables.table import ARROW

Role = Literal["train", "validation", "test"]


_PLAIN = (".csv", ".tsv", ".parquet")
# Looked for where no file with an extension of the first group has the name wanted.
_FURTHER = (*JSON, *ARROW)
_SPLIT = ((*_PLAIN, ".inter", ".txt"), _FURTHER)


_WORDS: dict[Role, tuple[str, ...]] = {
    "train": ("train", "training", "entrenamiento"),
    "validation": ("validation", "valid", "val", "dev", "validacion"),
    "test": ("test", "testing", "prueba"),
}


_ROLE_OF: dict[str, Role] = {word: role for role, words in _WORDS.items() for word in words}


_NAME = re.compile(rf"(?:(.*)[._-])?({'|'.join(_ROLE_OF)})")


@dataclass(frozen=True)
class SplitFiles:
    """The files of one ready-made split.

    Attributes:
        prefix: part of the file name before "train", or "".
        train: the train file.
        test: the test file.
        validation: the validation file; None if there is none, and then validation rows are drawn
            from train.
    """

    prefix: str
    train: Path
    test: Path
    validation: Path | None


def split_files(files: Iterable[Path]) -> list[SplitFiles]:
    """Return all ready-made splits among the files of one folder: those with both train and test.

    Args:
        files: files of the folder.

    Raises:
        DataError: two files claim one part of a split.
    """
    files = list(files)
    for extensions in _SPLIT:
        found: dict[str, dict[Role, list[Path]]] = {}
        for file in files:
            match = _split_name(file)
            if match and extension_of(file) in extensions:
                empty: dict[Role, list[Path]] = {"train": [], "validation": [], "test": []}
                parts = found.setdefault(match[1] or "", empty)
                parts[_ROLE_OF[match[2]]].append(file)
        whole = {p: parts for p, parts in found.items() if parts["train"] and parts["test"]}
        if whole:
            return [_only_one_each(prefix, parts) for prefix, parts in whole.items()]
    return []


def _only_one_each(prefix: str, parts: Mapping[Role, list[Path]]) -> SplitFiles:
    """Return the files of one split.

    Raises:
        DataError: a part has several files.
    """
    problems = [
        f"{files[0].parent}: several files for {role}: "
        f"{listed([file.name for file in files])}; keep one"
        for role, files in parts.items()
        if len(files) > 1
    ]
    if problems:
        raise DataError(problems)
    validation = parts["validation"][0] if parts["validation"] else None
    return SplitFiles(prefix, parts["train"][0], parts["test"][0], validation)


_STEMS = {
    "interactions": ("interactions", "interacciones", "ratings"),
    "users": ("users", "usuarios"),
    "items": ("items", "productos", "movies"),
}
_SIDES = (*_STEMS["users"], *_STEMS["items"])


@dataclass(frozen=True)
class Layout:
    """The files of one data set; users and items are optional.

    Attributes:
        name: folder name, or the file's name without extensions.
        interactions: file of all interactions, the train file of a ready-made split, or the folder
            of `parts`.
        users: file of the user table, or None.
        items: file of the item table, or None.
        item_arrays: file with arrays of items, or None.
        split: files of the ready-made split, or None if the data has no such split.
        parts: files of one form that hold the interactions together; empty if one file does.
        beside: tables of another form beside the folders of parts, which are not read.
    """

    name: str
    interactions: Path
    users: Path | None = None
    items: Path | None = None
    item_arrays: Path | None = None
    split: SplitFiles | None = None
    parts: tuple[Path, ...] = ()
    beside: tuple[Path, ...] = ()


def locate(path: Path) -> Layout:
    """Find the files of a data set in a folder, or a file and the companions that its name implies.

    A file with any other name (`events.csv`) is read alone. `interactions.csv`, `NAME.inter` and
    `u.data` bring the user and item tables of their folder along, and the train file of a
    ready-made split also brings the other parts. A ready-made split wins over other interactions
    files in the same folder. A folder without any of these names holds parts: `part-*.parquet`,
    `date=2024-10-25/*.parquet`, or several files of one extension; so does a name with wildcards.

    Args:
        path: a folder or a file.

    Raises:
        DataError: the path does not exist, or the folder holds no interactions or more than one
            candidate.
    """
    if not path.exists():
        if matches := matching_files(path):
            return Layout(path.parent.resolve().name, path.parent, parts=matches)
        raise DataError(f"{path}: not found; {_what_is_near(path)}")
    folder = path if path.is_dir() else path.parent
    files = sorted(file for file in folder.iterdir() if file.is_file())
    splits = {split.train: split for split in split_files(files)}
    parts: list[Path] = []
    if path.is_dir():
        candidates = list(splits) or _interactions_among(files)
        parts = [] if candidates else _parts_of(path, files)
        chosen = path if parts else _only(path, candidates, files)
        name = path.resolve().name or "data"
    else:
        chosen, name = path, stem_of(path)
        if path not in splits and not _interactions_among([path]):
            return Layout(name, path)
    split = splits.get(chosen)
    stem = split.prefix if split else stem_of(chosen)
    users, items = (_sibling(chosen, stem, role, files) for role in ("users", "items"))
    nested = bool(parts) and parts[0].parent != folder
    beside = tuple(file for file in files if nested and _may_be_part(file))
    return Layout(name, chosen, users, items, _item_arrays(files), split, tuple(parts), beside)


def _interactions_among(files: list[Path]) -> list[Path]:
    """Return the files whose names say interactions, in a form of the first kind that occurs."""

    def named(file: Path, extensions: tuple[str, ...]) -> bool:
        stems = _STEMS["interactions"]
        return extension_of(file) in extensions and stem_of(file).casefold() in stems

    usual = [
        file
        for file in files
        if file.name.casefold() == MOVIELENS_DATA
        or extension_of(file) == ".inter"
        or named(file, _PLAIN)
    ]
    others = (RATINGS_DAT, BEHAVIORS)
    further = [file for file in files if named(file, _FURTHER) or _plain_name(file) in others]
    return usual or further


def _plain_name(file: Path) -> str:
    return file.name.casefold().removesuffix(".gz")


_PART = re.compile(r"part\b.*|part[-_]?\d.*|\d+\..*", re.IGNORECASE)


def _parts_of(folder: Path, files: list[Path]) -> list[Path]:
    """Return the files of one form that hold a folder's interactions together, perhaps none.

    A single file counts if its name or its folder's (KEY=VALUE) says that it is a part.

    Raises:
        DataError: parts lie both in folders named KEY=VALUE and beside them, or beside parts of a
            ready-made split.
    """
    inner = (each for each in folder.iterdir() if each.is_dir() and "=" in each.name)
    below = sorted(file for each in inner for file in each.rglob("*") if file.is_file())
    nested = [file for file in below if _may_be_part(file)]
    beside = [file for file in files if _may_be_part(file)]
    if nested:  # a schema or a list of countries is no part
        beside = [file for file in beside if _is_alike(file, nested[0])]
    found = nested or beside
    plain = [file for file in found if not _split_name(file)]
    if len({extension_of(file) for file in plain}) != 1:
        return []
    split = _parts_of_splits(found)
    found = [file for file in found if file not in split]
    if len(found) == 1 and not nested and not _PART.fullmatch(found[0].name):
        return []
    if nested and beside:
        raise DataError(
            f"{folder}: holds parts in folders ({nested[0].relative_to(folder)}) and beside them: "
            f"{_file_names(beside)}; move these into a folder named KEY=VALUE, or out of {folder}"
        )
    if split:
        raise DataError(
            f"{folder}: {_file_names(split)} look like parts of a ready-made split (train.* with "
            f"test.*), beside {_file_names(found)}; move or rename them, or choose files with "
            "wildcards, such as 'logs/2024-*.csv'"
        )
    return found


def _is_alike(file: Path, part: Path) -> bool:
    """Return True if a file has the extension and the columns of a part."""
    if extension_of(file) != extension_of(part):
        return False
    one, other = open_table(file, []), open_table(part, [])
    if one is None or other is None:
        return True  # it cannot be told, so it is not left out silently
    # Without header lines the names are data.
    is_headless = any(map(is_data, other.names)) and len(one.names) == len(other.names)
    return is_headless or set(one.names) == set(other.names)


def _may_be_part(file: Path) -> bool:
    # Names of Spark and Hadoop for what is no data (_SUCCESS, ._SUCCESS.crc) begin in these ways.
    if NETFLIX.fullmatch(file.name):
        return True
    if file.name.startswith(("_", ".")) or extension_of(file) not in TABLES:
        return False
    return stem_of(file).casefold() not in _SIDES


def _split_name(file: Path) -> re.Match[str] | None:
    """Return the match of a name that ends in a word for a part of a split: shop_dev."""
    return _NAME.fullmatch(stem_of(file).casefold())


def _parts_of_splits(files: Iterable[Path]) -> list[Path]:
    """Return the files of splits: test.csv, and shop_dev.csv beside shop_test.csv, but not alone.

    Beside log_eu.csv and log_us.csv, a single log_dev.csv is one more log.
    """
    named = [(file, match) for file in files if (match := _split_name(file))]
    roles: dict[tuple[Path, str], set[Role]] = {}
    for file, match in named:
        roles.setdefault((file.parent, match[1] or ""), set()).add(_ROLE_OF[match[2]])
    return [file for file, match in named if not match[1] or len(roles[file.parent, match[1]]) > 1]


def _only(folder: Path, found: list[Path], files: list[Path]) -> Path:
    """Return the one interactions file found in a folder.

    Raises:
        DataError: there are none, or several.
    """
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"{folder}: several interactions files: {_file_names(found)}; pass the one you mean, "
            f"such as {found[0]}"
        )
    usable = [file for file in files if extension_of(file) in (*TABLES, ".inter")]
    logs = [file for file in usable if _may_be_part(file)]
    tables = [file for file in usable if stem_of(file).casefold() in _SIDES]
    cure = f"readable are {READABLE_TEXT}"
    if usable:
        cure = f"pass the file itself, such as {(logs or usable)[0]}"
    if logs and tables:
        named = "interactions" + logs[0].name[len(stem_of(logs[0])) :]
        cure += f", or rename it {named}, so that {_file_names(tables)} are read with it"
    raise DataError(
        f"{folder}: no interactions file; looked for interactions.csv, .tsv, .jsonl (or .gz), "
        ".parquet, .arrow, interacciones.csv, ratings.csv, ratings.dat, NAME.inter, u.data, parts "
        "(part-*.parquet, date=.../*.parquet, several files of one extension), and train.* with "
        f"test.*; found {_file_names(files) or 'nothing'}; {cure}"
    )


def _sibling(interactions: Path, stem: str, role: str, files: list[Path]) -> Path | None:
    """Return the user or item table that belongs to an interactions file, or None.

    Raises:
        DataError: several files could be that table.
    """
    if interactions.name.casefold() == MOVIELENS_DATA:
        wanted = {"u.user" if role == "users" else "u.item"}
        found = [file for file in files if file.name.casefold() in wanted]
    elif extension_of(interactions) == ".inter":
        extension = ".user" if role == "users" else ".item"
        same = [file for file in files if stem_of(file).casefold() == stem.casefold()]
        found = [file for file in same if extension_of(file) == extension]
    elif _plain_name(interactions) == RATINGS_DAT:
        wanted = {"users.dat" if role == "users" else "movies.dat"}
        found = [file for file in files if file.name.casefold() in wanted]
    else:
        named = [file for file in files if stem_of(file).casefold() in _STEMS[role]]
        usual = [file for file in named if extension_of(file) in _PLAIN]
        found = usual or [file for file in named if extension_of(file) in _FURTHER]
    if len(found) > 1:
        raise DataError(
            f"{interactions.parent}: several files for {role}: {_file_names(found)}; keep one"
        )
    return found[0] if found else None


def _item_arrays(files: list[Path]) -> Path | None:
    """Return the file with arrays of items, such as items.npz, or None.

    Raises:
        DataError: there is an array without ids (items.npy), or several files.
    """
    named = [file for file in files if stem_of(file).casefold() in _STEMS["items"]]
    for file in named:
        if extension_of(file) == ".npy":
            raise DataError(
                f"{file}: an array without ids; save both with "
                "numpy.savez('items.npz', item_id=ids, embedding=vectors)"
            )
    found = [file for file in named if extension_of(file) == ".npz"]
    if len(found) > 1:
        raise DataError(
            f"{found[0].parent}: several files of arrays: {_file_names(found)}; keep one"
        )
    return found[0] if found else None


def _file_names(files: Iterable[Path]) -> str:
    return listed([file.name for file in files])


def _what_is_near(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return f"there is no folder {parent} either"
    return f"{parent} holds {_file_names(sorted(parent.iterdir())) or 'nothing'}"

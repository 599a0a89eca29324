"""Ready-made splits: train, test and perhaps validation, each in a file of its own.

train.csv + test.csv, NAME.train.inter + NAME.valid.inter + NAME.test.inter (RecBole), train.txt +
test.txt (LightGCN); any form that is read, and the forms may differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recsys.columns import listed
from recsys.errors import DataError
from recsys.tables import extension_of, stem_of

Role = Literal["train", "validation", "test"]

EXTENSIONS = (".csv", ".tsv", ".parquet", ".inter", ".txt")
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
        prefix: what stands before "train" in the name; "" if nothing does.
        validation: None if there is no such file; it is drawn from train then.
    """

    prefix: str
    train: Path
    test: Path
    validation: Path | None


def split_files(files: Iterable[Path]) -> list[SplitFiles]:
    """All ready-made splits among the files of one folder: those with both train and test.

    Raises:
        DataError: two files for one part of a split.
    """
    found: dict[str, dict[Role, list[Path]]] = {}
    for file in files:
        match = _NAME.fullmatch(stem_of(file).casefold())
        if match and extension_of(file) in EXTENSIONS:
            parts = found.setdefault(match[1] or "", {"train": [], "validation": [], "test": []})
            parts[_ROLE_OF[match[2]]].append(file)
    return [
        _only_one_each(prefix, parts)
        for prefix, parts in found.items()
        if parts["train"] and parts["test"]
    ]


def _only_one_each(prefix: str, parts: Mapping[Role, list[Path]]) -> SplitFiles:
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

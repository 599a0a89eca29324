"""The data sets that models are compared on, and how each is held out."""

from __future__ import annotations

import csv
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.data.splitting import split
from recsys.datasets.registry import cache_folder, load_dataset
from recsys.errors import DataError

if TYPE_CHECKING:
    from recsys.data.interactions import Repeats
    from recsys.data.splitting import Method, Split


class DataMissing(SystemExit):
    """A data set that is not on this machine."""


@dataclass(frozen=True)
class Case:
    """One data set, read in one way.

    Attributes:
        name: as given with --data.
        folder: below --data-root.
        about: for the report.
        repeats: "keep": what a user has may come again, nothing is masked.
        timed: False: the time column is taken out first.
        next_item: each user's newest row is asked for, as papers on the next item do.
    """

    name: str
    folder: str
    about: str
    repeats: Repeats = "drop"
    timed: bool = True
    next_item: bool = False

    @property
    def method(self) -> Method | None:
        """Return the method of the split; None for the default."""
        return "leave-one-out" if self.next_item else None


CASES = {
    case.name: case
    for case in (
        Case("ml-100k", "ml-100k", "MovieLens-100K"),
        Case("ml-100k-untimed", "ml-100k", "MovieLens-100K without its times", timed=False),
        Case("ml-latest-small", "ml-latest-small", "MovieLens latest small (2016)"),
        Case("hetrec-lastfm", "hetrec-lastfm", "HetRec Last.fm; it has no times"),
        Case("online-retail-ii", "online-retail-ii", "Online Retail II, repeats dropped"),
        Case(
            "online-retail-ii-repeats",
            "online-retail-ii",
            "Online Retail II, repeats kept: nothing is masked",
            repeats="keep",
        ),
        Case("ml-100k-next", "ml-100k", "MovieLens-100K, leave-one-out", next_item=True),
        Case(
            "ml-latest-small-next",
            "ml-latest-small",
            "MovieLens latest small (2016), leave-one-out",
            next_item=True,
        ),
    )
}


def source(case: Case, data_root: Path, cache: Path) -> Path:
    """The folder that everybody reads this case from, ours included."""
    folder = data_root / case.folder
    if not folder.is_dir() and case.folder == "ml-100k":
        try:
            load_dataset("ml-100k")  # fetches it where it is not there yet
        except DataError as error:
            raise DataMissing(f"{case.name}: {error}") from error
        folder = cache_folder() / "ml-100k"
    if not folder.is_dir():
        raise DataMissing(
            f"{case.name}: there is no {folder}; put the data set there as interactions.tsv.gz "
            "(columns user_id, item_id, timestamp), or name its parent folder with --data-root"
        )
    return folder if case.timed else _without_times(folder, cache / "data" / case.name)


def load(case: Case, folder: Path) -> Split:
    rows = load_dataset(str(folder.resolve()), repeats=case.repeats).interactions
    return split(rows, case.method)


def digest(parts: Split) -> str:
    """8 hex digits of who has and who is asked what: results with equal ones compare."""
    sha = hashlib.sha256()
    for holdout in (parts.tuning, parts.final):
        for rows in (holdout.seen, holdout.relevant):
            sha.update(rows.users.tobytes() + rows.items.tobytes())
    return sha.hexdigest()[:8]


def _without_times(folder: Path, copy: Path) -> Path:
    """A copy of RecBole files whose interactions have lost their time column."""
    if (copy / f"{copy.name}.inter").exists():
        return copy
    copy.mkdir(parents=True, exist_ok=True)
    for part in ("user", "item"):
        shutil.copy(folder / f"{folder.name}.{part}", copy / f"{copy.name}.{part}")
    with (folder / f"{folder.name}.inter").open(newline="") as timed:
        rows = list(csv.reader(timed, delimiter="\t"))
    keep = [place for place, name in enumerate(rows[0]) if not name.startswith("timestamp")]
    temporary = copy / "unfinished"
    with temporary.open("w", newline="") as untimed:
        writer = csv.writer(untimed, delimiter="\t", lineterminator="\n")
        writer.writerows([row[place] for place in keep] for row in rows)
    temporary.replace(copy / f"{copy.name}.inter")
    return copy

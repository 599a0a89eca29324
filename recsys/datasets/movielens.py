"""MovieLens-100K: fetching of its two published forms, and their common form.

The official archive holds u.data, u.item and u.user; the RecBole wheel holds the same rows as
atomic files. `ml-100k.inter` is u.data below a header line, byte for byte, so one checksum covers
both and the interactions have one fingerprint. Item and user tables become `item_id, title, year,
genres` and `user_id, age, gender, occupation`; ZIP codes and web addresses are dropped.

The data is not ours to hand on: it stays in the user's cache, never in the repository.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pooch

from recsys.errors import DataError
from recsys.readers import first_line, item_table, user_table

TERMS = (
    "MovieLens-100K (GroupLens, University of Minnesota): for research; no redistribution or "
    "commercial use without permission; cite Harper and Konstan (2015), "
    "https://doi.org/10.1145/2827872. Terms: "
    "https://files.grouplens.org/datasets/movielens/ml-100k-README.txt"
)
INTER_HEADER = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
_TIMEOUT = 10  # seconds to connect, and between two packets
_PIP_TIMEOUT = 300  # seconds for the whole of pip


@dataclass(frozen=True)
class Release:
    """Sources of the data, and checksums that prove it is the right data.

    Attributes:
        url: the official archive.
        md5: checksum of the archive, as GroupLens publishes it.
        requirement: the package with a wheel that holds the atomic files.
        sha256: checksum of `ml-100k.inter`, the same for both sources.
    """

    url: str
    md5: str
    requirement: str
    sha256: str


ML_100K = Release(
    url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
    md5="0e33842e24a9c977be4e0107933c0723",
    requirement="recbole==1.2.1",
    sha256="4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
)
_NAMES = ("ml-100k.user", "ml-100k.item", "ml-100k.inter")
_WHEEL_FOLDER = "recbole/dataset_example/ml-100k/"


def is_complete(folder: Path, release: Release = ML_100K) -> bool:
    """Return True if the cache folder holds all three files and the right interactions.

    Args:
        folder: the cache folder.
        release: checksum of the interactions.
    """
    if not all((folder / name).is_file() for name in _NAMES):
        return False
    data = (folder / "ml-100k.inter").read_bytes()
    return hashlib.sha256(data).hexdigest() == release.sha256


def fetch(folder: Path, announce: Callable[[str], None], release: Release = ML_100K) -> None:
    """Fetch the three files into `folder`, from the official archive or else from the wheel.

    Files are written to a temporary folder and moved, the interactions last, so a killed process or
    a second one never leaves half a data set that `is_complete` accepts.

    Args:
        folder: the cache folder, created if missing.
        announce: receives the terms of use, the sources and their failures as lines for people.
        release: sources and checksums.

    Raises:
        DataError: no source works; the message says why and how to put the files there by hand.
    """
    announce(TERMS)
    reasons = []
    _make(folder)
    for source, come_by in ((release.url, _from_archive), (release.requirement, _from_wheel)):
        announce(f"fetching ml-100k from {source}")
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            try:
                files = come_by(Path(temporary), release)
                _check_sum(files["ml-100k.inter"], release)
            # The errors that the network, pip and damaged archives are known to raise.
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                reasons.append(f"{source}: {first_line(error)}")
                announce(f"that did not work: {first_line(error)}")
                continue
            _store(folder, Path(temporary), files)
            return
    by_hand = (
        f"to go on without a network: get {release.url} on another machine, unpack it and pass "
        "that folder (--data path/to/ml-100k), or put RecBole's ml-100k.inter, .user and .item "
        f"into {folder}"
    )
    raise DataError(["ml-100k could not be fetched", *reasons, by_hand])


def _make(folder: Path) -> None:
    """Make the cache folder, and check that files can be written to it.

    Raises:
        DataError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataError(
            f"{folder}: downloads cannot be kept there: {first_line(error)}; set RECSYS_CACHE to a "
            "folder that can be written, or give the data as a path with --data"
        ) from None


def normalised(
    user_frame: pl.DataFrame, item_frame: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the cached user and item tables with our column names, the same for both sources.

    Args:
        user_frame: the table read from ml-100k.user.
        item_frame: the table read from ml-100k.item.
    """
    if "movie_title" in item_frame.columns:
        item_frame = item_frame.select(
            "item_id",
            title=pl.col("movie_title").cast(pl.String),
            year=pl.col("release_year").cast(pl.Int64, strict=False),
            genres=pl.col("class").str.replace_all(" ", "|", literal=True),
        )
    return user_frame.select("user_id", "age", "gender", "occupation"), item_frame


def _from_archive(temporary: Path, release: Release) -> dict[str, bytes]:
    pooch.get_logger().setLevel("WARNING")  # other levels log every temporary file
    shows_progress = sys.stderr.isatty() and find_spec("tqdm") is not None
    archive = pooch.retrieve(
        release.url,
        known_hash=f"md5:{release.md5}",
        path=temporary,
        fname="ml-100k.zip",
        downloader=pooch.HTTPDownloader(progressbar=shows_progress, timeout=_TIMEOUT),
    )
    with zipfile.ZipFile(archive) as members:
        users = user_table(members.read("ml-100k/u.user"))
        items = item_table(members.read("ml-100k/u.item"))
        return {
            "ml-100k.user": users.write_csv(separator="\t").encode(),
            "ml-100k.item": items.write_csv(separator="\t").encode(),
            "ml-100k.inter": INTER_HEADER + members.read("ml-100k/u.data"),
        }


def _from_wheel(temporary: Path, release: Release) -> dict[str, bytes]:
    """Return the three files by name, from RecBole's wheel.

    Raises:
        OSError: pip fails or takes too long.
    """
    # Only a wheel is allowed, because unpacking a wheel runs no code of the package.
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
        *("--quiet", "--no-input", "--disable-pip-version-check", "--timeout", "15"),
        *("-d", str(temporary), release.requirement),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_PIP_TIMEOUT)
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        raise OSError(lines[-1] if lines else f"pip ended with {error.returncode}") from None
    except subprocess.TimeoutExpired:
        raise OSError(f"pip took longer than {_PIP_TIMEOUT} s") from None
    with zipfile.ZipFile(next(temporary.glob("*.whl"))) as members:
        return {name: members.read(_WHEEL_FOLDER + name) for name in _NAMES}


def _check_sum(inter: bytes, release: Release) -> None:
    """Check the interactions against the checksum of the release.

    Raises:
        ValueError: the checksum differs.
    """
    found = hashlib.sha256(inter).hexdigest()
    if found != release.sha256:
        raise ValueError(f"holds other data: sha256 {found[:12]}..., not {release.sha256[:12]}...")


def _store(folder: Path, temporary: Path, files: dict[str, bytes]) -> None:
    for name in _NAMES:
        (temporary / name).write_bytes(files[name])
        (temporary / name).replace(folder / name)

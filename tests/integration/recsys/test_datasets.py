"""Named data sets, with a web server and a wheel made here in the place of the real ones."""

from __future__ import annotations

import argparse
import hashlib
import http.server
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys.cli.arguments import add_data_arguments, dataset_from
from recsys.datasets.movielens import INTER_HEADER, ML_100K, TERMS, Release
from recsys.datasets.registry import load_dataset, load_ml_100k
from recsys.errors import DataError
from recsys.readers.reader import read_dataset
from tests.support.paths import ROOT

SHARED = ROOT.parent / "shared" / "data" / "ml-100k"
UNREACHABLE = "http://127.0.0.1:9/ml-100k.zip"  # the discard port: refused at once

U_DATA = b"1\t1\t5\t100\n2\t2\t3\t200\n1\t2\t4\t300\n"
INTER = INTER_HEADER + U_DATA
FLAGS = "0|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|1|0|0"
U_ITEM = f"1|Reed (1995)|01-Jan-1995||http://x|{FLAGS}\n2|Caña, La (1990)|||http://y|{FLAGS}\n"
U_USER = b"1|24|M|technician|85711\n2|53|F|other|94043\n"
WHEEL_FILES = {
    "ml-100k.inter": INTER,
    "ml-100k.user": b"user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
    b"1\t24\tM\ttechnician\t85711\n2\t53\tF\tother\t94043\n",
    "ml-100k.item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    "1\tReed\t1995\tAction Thriller\n2\tCaña, La\t1990\tAction Thriller\n".encode(),
}


@pytest.fixture
def archive(tmp_path) -> Path:
    path = tmp_path / "ml-100k.zip"
    with zipfile.ZipFile(path, "w") as members:
        members.writestr("ml-100k/u.data", U_DATA)
        members.writestr("ml-100k/u.item", U_ITEM.encode("latin-1"))
        members.writestr("ml-100k/u.user", U_USER)
    return path


@pytest.fixture
def wheel(tmp_path) -> Path:
    """A package that pip can download without an index."""
    path = tmp_path / "toybole-1.0-py3-none-any.whl"
    info = "toybole-1.0.dist-info/"
    with zipfile.ZipFile(path, "w") as members:
        for name, content in WHEEL_FILES.items():
            members.writestr(f"recbole/dataset_example/ml-100k/{name}", content)
        members.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: toybole\nVersion: 1.0\n")
        members.writestr(info + "WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        members.writestr(info + "RECORD", "")
    return path


@pytest.fixture
def server(tmp_path):
    """Serves tmp_path; yields its address and the list of paths asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args) -> None:
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, _format, *_args) -> None:
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}", asked
        web.shutdown()
        thread.join()


def release(url: str, wheel: Path, archive: Path | None = None, sha256: str = "") -> Release:
    return Release(
        url=url,
        md5=hashlib.md5(archive.read_bytes() if archive else b"").hexdigest(),
        requirement=str(wheel),
        sha256=sha256 or hashlib.sha256(INTER).hexdigest(),
    )


def test_official_source_is_fetched_once_after_its_terms(tmp_path, server, archive, wheel):
    address, asked = server
    source, said = release(f"{address}/ml-100k.zip", wheel, archive), []
    data = load_ml_100k(tmp_path / "cache", "drop", said.append, source)
    assert said == [TERMS, f"fetching ml-100k from {source.url}"]
    again = load_ml_100k(tmp_path / "cache", "drop", said.append, source)
    assert (len(asked), len(said)) == (1, 2)
    assert data.columns == read_dataset(tmp_path / "cache" / "ml-100k").columns
    assert again.interactions.fingerprint == data.interactions.fingerprint
    kept = sorted(path.name for path in (tmp_path / "cache" / "ml-100k").iterdir())
    assert kept == ["ml-100k.inter", "ml-100k.item", "ml-100k.user"]


def test_both_sources_give_the_same_data(tmp_path, server, archive, wheel):
    address, _ = server
    sources = (
        release(f"{address}/ml-100k.zip", wheel, archive),
        release(UNREACHABLE, wheel),
    )
    official, other = (
        load_ml_100k(tmp_path / str(number), "drop", lambda _: None, source)
        for number, source in enumerate(sources)
    )
    assert official.name == other.name == "ml-100k"
    assert official.interactions.fingerprint == other.interactions.fingerprint
    assert official.interactions.times.tolist() == [100_000_000, 300_000_000, 200_000_000]
    assert official.user_table.equals(other.user_table)
    assert official.item_table.equals(other.item_table)
    assert official.item_table.rows()[1] == ("2", "Caña, La", 1990, "Action|Thriller")
    assert official.user_table.columns == ["user_id", "age", "gender", "occupation"]


def test_a_changed_archive_is_refused_and_the_wheel_used(tmp_path, server, archive, wheel):
    address, _ = server
    source, said = release(f"{address}/ml-100k.zip", wheel, archive), []
    archive.write_bytes(archive.read_bytes() + b"x")
    load_ml_100k(tmp_path / "cache", "drop", said.append, source)
    assert said[0] == TERMS
    assert "hash" in said[2]
    assert str(wheel) in said[3]


def test_when_both_fail_both_reasons_and_the_cure_are_told(tmp_path, wheel):
    source = release(UNREACHABLE, wheel, sha256="0" * 64)
    with pytest.raises(DataError) as error:
        load_ml_100k(tmp_path / "cache", "drop", lambda _: None, source)
    refused, other_data, cure = error.value.problems[1:]
    assert UNREACHABLE in refused
    assert "holds other data" in other_data
    assert f"into {tmp_path / 'cache' / 'ml-100k'}" in cure
    assert list((tmp_path / "cache" / "ml-100k").iterdir()) == []


def test_a_package_that_is_not_there(tmp_path):
    source = release(UNREACHABLE, tmp_path / "gone-1.0-py3-none-any.whl")
    with pytest.raises(DataError, match=r"gone-1\.0"):
        load_ml_100k(tmp_path / "cache", "drop", lambda _: None, source)


def test_a_cache_that_cannot_be_written_is_named_with_the_cure(tmp_path, wheel):
    (tmp_path / "cache").write_text("a file in the way")
    with pytest.raises(DataError, match=r"cache.*set RECSYS_CACHE to a folder"):
        load_ml_100k(tmp_path / "cache", "drop", lambda _: None, release(UNREACHABLE, wheel))


def test_files_put_there_by_hand_need_no_fetch(tmp_path, wheel):
    folder = tmp_path / "cache" / "ml-100k"
    folder.mkdir(parents=True)
    for name, content in WHEEL_FILES.items():
        (folder / name).write_bytes(content)
    said: list[str] = []
    data = load_ml_100k(tmp_path / "cache", "drop", said.append, release(UNREACHABLE, wheel))
    assert said == []
    assert data.item_table.columns == ["item_id", "title", "year", "genres"]


def test_a_damaged_cache_is_fetched_again(tmp_path, wheel):
    source = release(UNREACHABLE, wheel)
    first = load_ml_100k(tmp_path, "drop", lambda _: None, source)
    (tmp_path / "ml-100k" / "ml-100k.inter").write_bytes(INTER[:-5])
    second = load_ml_100k(tmp_path, "drop", lambda _: None, source)
    assert second.interactions.fingerprint == first.interactions.fingerprint


def test_u_data_and_atomic_file_have_one_fingerprint(tmp_path):
    (tmp_path / "u.data").write_bytes(U_DATA)
    (tmp_path / "ml.inter").write_bytes(INTER)
    one, two = (read_dataset(tmp_path / name) for name in ("u.data", "ml.inter"))
    assert one.interactions.fingerprint == two.interactions.fingerprint


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data/ml-100k beside the repository")
def test_the_real_ml_100k_out_of_a_cache(tmp_path, monkeypatch):
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    for name in WHEEL_FILES:
        (folder / name).write_bytes((SHARED / name).read_bytes())
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path))
    data = load_dataset("ml-100k", announce=pytest.fail)
    rows = data.interactions
    assert (rows.n_users, rows.n_items, len(rows)) == (943, 1_682, 100_000)
    assert data.item_table.schema == {
        "item_id": pl.String,
        "title": pl.String,
        "year": pl.Int64,
        "genres": pl.String,
    }
    assert data.item_table["year"].null_count() == 2


@pytest.mark.network
def test_the_real_wheel(tmp_path):
    probe = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--timeout", "5",
             "--retries", "0", "-d", str(tmp_path / "probe"), ML_100K.requirement]  # fmt: skip
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no package index can be reached")
    source = Release(UNREACHABLE, ML_100K.md5, ML_100K.requirement, ML_100K.sha256)
    data = load_ml_100k(tmp_path, "drop", lambda _: None, source)
    assert len(data.interactions) == 100_000


def test_unknown_name_lists_the_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"'ml-10m' is neither a data set \(demo, ml-100k\)"):
        load_dataset("ml-10m")
    with pytest.raises(DataError, match="not found"):
        load_dataset("./ml-10m")


def test_a_name_wins_and_dot_slash_reaches_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "u.data").write_bytes(U_DATA)
    assert load_dataset("demo").interactions.n_users == 800
    assert load_dataset("./demo").interactions.n_users == 2


def test_flags(tmp_path):
    parser = argparse.ArgumentParser()
    add_data_arguments(parser)
    assert parser.parse_args([]).data == "ml-100k"
    (tmp_path / "log.csv").write_text("who,item,when\na,x,1\nb,y,2\na,x,3\n")
    args = ["--data-root", str(tmp_path / "log.csv"), "--user-col", "who", "--time-col", "when"]
    kept = dataset_from(parser.parse_args([*args, "--repeats", "keep"]))
    assert len(kept.interactions) == 3
    assert np.diff(kept.interactions.offsets).tolist() == [2, 1]
    with pytest.raises(DataError, match="demo: has its own columns"):
        dataset_from(parser.parse_args(["--data", "demo", "--item-col", "x"]))


def test_flags_cost_no_heavy_import():
    code = (
        "import sys, argparse; from recsys.cli.arguments import add_data_arguments; "
        "add_data_arguments(argparse.ArgumentParser()); "
        "assert not {'polars', 'torch', 'numpy', 'pooch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)

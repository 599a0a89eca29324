"""Public data in forms of its own: MIND's impressions and the Netflix Prize's films."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.data import Dataset
from recsys.errors import DataError
from recsys.readers import read_dataset

IMPRESSIONS = (
    "1\tU1\t11/9/2019 9:05:58 AM\tN9 N8\tN1-0 N2-1 N3-0\n"
    "2\tU2\t11/12/2019 6:11:30 PM\t\tN1-1 N4-1\n"
    "3\tU1\t11/13/2019 12:00:01 AM\tN9\tN5-1\n"
    "4\tU3\t11/13/2019 1:00:00 PM\tN9\tN5-0\n"
)
FILMS = {
    "mv_0000001.txt": "1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n885013,4,2005-10-19\n",
    "mv_0000002.txt": "2:\n1488844,1,2005-09-07\n3:\n822109,5,2005-05-14\n885013,2,2005-10-18\n",
}


def pairs(dataset: Dataset) -> set[tuple[str, str]]:
    log = dataset.interactions
    return {
        (log.user_ids[user], log.item_ids[item])
        for user, item in zip(log.users, log.items, strict=True)
    }


def items_of(dataset: Dataset, user_id: str) -> list[str]:
    """Return a user's items in order of time."""
    log = dataset.interactions
    mine = log.users == log.user_ids.index(user_id)
    return [log.item_ids[item] for item in log.items[mine]]


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("whole_folder", [True, False])
def test_a_click_of_mind_is_an_interaction(tmp_path: Path, whole_folder: bool) -> None:
    written(tmp_path, **{"behaviors.tsv": IMPRESSIONS, "news.tsv": "N1\tsports\tsoccer\n"})
    dataset = read_dataset(tmp_path if whole_folder else tmp_path / "behaviors.tsv")
    assert pairs(dataset) == {("U1", "N2"), ("U2", "N1"), ("U2", "N4"), ("U1", "N5")}
    assert items_of(dataset, "U1") == ["N2", "N5"]
    assert dataset.interactions.times is not None
    first = dataset.interactions.times.min()
    assert first == 1_573_290_358_000_000  # date -u -d "2019-11-09 09:05:58" +%s: month first


def test_a_broken_line_of_mind_is_named(tmp_path: Path) -> None:
    written(tmp_path, **{"behaviors.tsv": IMPRESSIONS + "5\tU4\n"})
    with pytest.raises(DataError, match=r"behaviors\.tsv.*needs 5 fields, but line 5 has 2"):
        read_dataset(tmp_path / "behaviors.tsv")


def test_a_time_of_mind_in_another_form_is_named(tmp_path: Path) -> None:
    text = IMPRESSIONS.replace("11/12/2019 6:11:30 PM", "yesterday")
    written(tmp_path, **{"behaviors.tsv": text})
    with pytest.raises(DataError, match=r"behaviors\.tsv.*yesterday"):
        read_dataset(tmp_path / "behaviors.tsv")


def test_a_folder_of_the_netflix_prize_is_one_table(tmp_path: Path) -> None:
    dataset = read_dataset(written(tmp_path, **FILMS))
    assert pairs(dataset) == {
        *((user, "1") for user in ("1488844", "822109", "885013")),
        *(("1488844", "2"), ("822109", "3"), ("885013", "3")),
    }
    assert items_of(dataset, "885013") == ["3", "1"]


@pytest.mark.parametrize("name", ["combined_data_1.txt", "ratings_of_two_films.txt"])
def test_one_file_of_the_netflix_prize(tmp_path: Path, name: str) -> None:
    written(tmp_path, **{name: "".join(FILMS.values())})
    dataset = read_dataset(tmp_path / name, min_rating=4)
    assert pairs(dataset) == {("822109", "1"), ("885013", "1"), ("822109", "3")}


def test_a_rating_that_is_no_number_is_named(tmp_path: Path) -> None:
    written(tmp_path, **{"combined_data_1.txt": FILMS["mv_0000001.txt"] + "7,x,2005-01-01\n"})
    with pytest.raises(DataError, match=r"combined_data_1\.txt.*rating 4"):
        read_dataset(tmp_path / "combined_data_1.txt", min_rating=4)

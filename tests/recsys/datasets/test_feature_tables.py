"""From tables to features: aligned with the vocabulary, and nothing personal, whoever asks."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from recsys.data.dataset import Dataset
from recsys.data.interactions import Interactions
from recsys.datasets.features import with_features
from recsys.datasets.pii import why_personal
from recsys.errors import DataError
from recsys.readers.reader import read_dataset

PEOPLE = ("Ada Lovelace", "Grace Hopper", "Alan Turing", "Edsger Dijkstra")
USERS = pl.DataFrame(
    {
        "user_id": ["u4", "u3", "u2", "u1", "stranger"],
        "nombre": [*PEOPLE, "Nobody"],
        "contact": [f"{name.split()[0]}@example.com" for name in (*PEOPLE, "No")],
        "call": ["+34 600 000 001", "600-000-0022", "(600) 000 0033", "600 000 0044", None],
        "who": [*PEOPLE, "Nobody"],
        "zone": ["north", "south", "north", "south", "east"],
    }
)
ITEMS = pl.DataFrame(
    {
        "item_id": ["x", "z", "y"],
        "title": ["Big axe", "Zip", "Big yo-yo"],
        "genres": ["Drama|War", "Drama", None],
        "tags": [["new", "red"], ["red"], []],
    }
)


def dataset(users: pl.DataFrame | None = USERS, items: pl.DataFrame | None = ITEMS) -> Dataset:
    rows = Interactions.from_ids(
        ["u1", "u2", "u3", "u4", "u1"], ["x", "y", "z", "x", "w"], [1, 2, 3, 4, 5]
    )
    return Dataset("shop", rows, users, items)


def problems(**wanted: tuple[str, ...]) -> list[str]:
    with pytest.raises(DataError) as caught:
        with_features(dataset(), **{"items": (), "users": (), **wanted})
    return list(caught.value.problems)


def test_rows_follow_the_vocabulary_not_the_table() -> None:
    rows = with_features(dataset(), items=("genres", "tags"), users=("zone",)).interactions
    assert rows.item_ids == ("w", "x", "y", "z")
    items = rows.item_features
    assert items is not None
    assert (items.columns, items.sizes) == (("genres", "tags"), (1, 1))
    assert items.offsets.tolist() == [0, 0, 2, 2, 4]  # "w" is in no table, "y" has empty cells
    assert items.codes.tolist() == [0, 1, 0, 1]  # drama and red; war and new are of one item only
    users = rows.user_features
    assert users is not None
    assert users.codes.tolist() == [1, 0, 1, 0]
    assert users.describe() == "zone (2); 4 of 4 have some"


def test_nothing_named_is_nothing_changed() -> None:
    data = dataset()
    assert with_features(data, items=(), users=()) is data


def test_features_are_part_of_the_fingerprint_and_their_absence_is_not() -> None:
    plain = dataset().interactions.fingerprint
    with_zone = with_features(dataset(), items=(), users=("zone",)).interactions
    other = USERS.with_columns(zone=pl.Series(["north", "north", "south", "south", "east"]))
    moved = with_features(dataset(other), items=(), users=("zone",)).interactions
    assert plain == "15b6dbe34c2d4b10"  # as it was before there were features
    assert len({plain, with_zone.fingerprint, moved.fingerprint}) == 3
    assert with_zone.take(with_zone.users == 0).user_features is with_zone.user_features


def test_all_mistakes_at_once_with_what_there_is() -> None:
    found = problems(items=("genre", "title", "item_id"), users=("nombre", "zone", "zone"))
    assert len(found) == 5
    text = "\n".join(found)
    assert (
        "shop: item feature 'genre': no such column; there are: 'title', 'genres', 'tags'" in text
    )
    assert "'title': hardly any two items share a value, so it teaches nothing" in text
    assert "take its words, with title:words, or leave it out" in text
    assert "'item_id': is the id" in text
    assert "'nombre': names people, so it is never used" in text
    assert "'zone' is named twice" in text


def test_text_that_is_to_be_numbers() -> None:
    (problem,) = problems(items=("title:number",))
    assert "'title': none of its cells is a number; leave :number out" in problem


def test_a_missing_table_is_said() -> None:
    with pytest.raises(DataError, match=r"no table of users; put users\.csv beside"):
        with_features(dataset(users=None), items=(), users=("zone",))


@pytest.mark.parametrize("column", ["nombre", "contact", "call", "who"])
def test_persons_are_refused_and_never_shown(
    column: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    (problem,) = problems(users=(f"{column}:category",))
    shown = problem + caplog.text + "".join(capfd.readouterr())
    assert column in shown
    for name in PEOPLE:
        assert not any(part.casefold() in shown.casefold() for part in name.split())
    assert "600" not in shown


@pytest.mark.parametrize("pattern", ["{} {}", "{1}, {0}"])
@pytest.mark.parametrize("kind", ["", ":list", ":words", ":category"])
def test_names_made_of_common_parts_are_still_names(pattern: str, kind: str) -> None:
    cells = [pattern.format(first, last) for first in "ABCDE" for last in "STUVWXYZ"]
    ids = [f"u{number}" for number in range(len(cells))]
    rows = Interactions.from_ids(ids, ["x", "y"] * 20)
    people = pl.DataFrame({"user_id": ids, "kunde": cells})
    with pytest.raises(DataError, match="a value that nobody else has|any two users share"):
        with_features(Dataset("shop", rows, people), items=(), users=(f"kunde{kind}",))
    tastes = people.with_columns(pl.col("kunde").str.replace_all(r",? ", "|"))
    data = with_features(Dataset("shop", rows, tastes), items=(), users=("kunde",))
    assert data.interactions.user_features.sizes == (13,)


@pytest.mark.parametrize(
    "name",
    ["name", "Nombre", "first_name", "lastName", "user name", "E-Mail", "correo", "phone_2",
     "Teléfono", "Dirección", "billingAddress", "zip_code", "postal_code", "IP", "DNI"],
)  # fmt: skip
def test_names_of_columns_about_persons(name: str) -> None:
    assert why_personal("user", name) is not None


@pytest.mark.parametrize("name", ["age", "city", "country_name", "zipper", "membership", "active"])
def test_names_of_columns_about_groups(name: str) -> None:
    assert why_personal("user", name) is None


def test_items_have_public_names_but_sellers_have_addresses() -> None:
    assert why_personal("item", "artist_name") is None
    assert why_personal("item", "seller_email") is not None


@pytest.mark.parametrize(
    "name",
    ["headphone_type", "microphone", "smartphone_os", "iPhoneModel", "automobile_make",
     "snowmobile", "automovil", "inmovilizador", "unidireccional", "multi_band", "addressable"],
)  # fmt: skip
def test_words_of_goods_that_hold_a_word_of_contacts_are_allowed(name: str) -> None:
    assert why_personal("item", name) is None


CONTACTS = ("phone", "phone_number", "sellerPhone", "phonenumber", "telephone", "mobile_phone",
            "Teléfono", "telefonos", "móvil", "email", "selleremail", "E-Mail", "addresses",
            "billingAddress1", "dirección", "zipcode", "postal_code",
            "whatsapp", "iban")  # fmt: skip


@pytest.mark.parametrize("name", CONTACTS)
@pytest.mark.parametrize("side", ["item", "user"])
def test_contacts_are_refused_in_both_tables(side: str, name: str) -> None:
    assert why_personal(side, name) == "says where somebody is or can be reached"  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["kundentelefon", "workmobile", "privatephone", "direccion2"])
def test_a_part_of_a_word_is_enough_in_a_table_of_users(name: str) -> None:
    assert why_personal("user", name) is not None


def test_what_stands_in_files(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text("user_id,item_id\na,x\nb,y\nb,z\n")
    (tmp_path / "items.csv").write_text("item_id,year,kind:of\nx,1999,p\ny,1999,q\nz,2001,p\n")
    data = read_dataset(tmp_path)
    rows = with_features(
        data,
        items=(
            "year",
            "kind:of",
        ),
        users=(),
    ).interactions
    assert rows.item_features is not None
    assert rows.item_features.sizes == (1, 1)
    said = with_features(data, items=("kind:of:category",), users=()).interactions
    assert said.item_features is not None


def test_vectors_are_part_of_the_fingerprint() -> None:
    def fingerprint(*vectors: list[float]) -> str:
        items = ITEMS.with_columns(look=pl.Series(list(vectors), dtype=pl.List(pl.Float64)))
        found = with_features(dataset(items=items), items=("look:vector",), users=())
        return found.interactions.fingerprint

    one = fingerprint([1.0, 0.0], [0.0, 1.0], [0.5, 0.5])
    assert one == fingerprint([1.0, 0.0], [0.0, 1.0], [0.5, 0.5])
    assert one != fingerprint([1.0, 0.0], [0.0, 1.0], [0.5, 0.6])


@pytest.mark.parametrize("side", ["item", "user"])
def test_a_table_with_an_id_in_two_rows_is_refused(side: str) -> None:
    def twice(table: pl.DataFrame) -> pl.DataFrame:
        return pl.concat([table, table[:1]])

    data = dataset(twice(USERS), twice(ITEMS))
    wanted = (
        {"items": ("genres",), "users": ()} if side == "item" else {"items": (), "users": ("zone",)}
    )
    with pytest.raises(DataError, match=f"the table of {side}s has an id in several rows"):
        with_features(data, **wanted)


def with_cells(cells: pl.Series, kind: str) -> Dataset:
    data = dataset(items=ITEMS.with_columns(cells.alias("c")))
    return with_features(data, items=(f"c{kind}",), users=())


KINDS = ("", ":category", ":list", ":words", ":number", ":vector")
NO_VALUES = {
    "records": pl.Series([{"a": 1}] * 3),
    "bytes": pl.Series([b"a"] * 3),
    "lists of records": pl.Series([[{"a": 1}] * 2] * 3),
    "lists of lists": pl.Series([[[1.0], [2.0]]] * 3),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cells", NO_VALUES.values(), ids=NO_VALUES)
def test_a_type_without_values_is_named_with_the_types_that_have_some(
    cells: pl.Series, kind: str
) -> None:
    with pytest.raises(DataError, match=r"'c': is of type .*; give text, numbers or lists of them"):
        with_cells(cells, kind)


@pytest.mark.parametrize("dtype", [pl.Null, pl.Decimal(10, 2), pl.String, pl.Int64, pl.Date])
def test_a_column_without_a_filled_cell_teaches_nothing(dtype: pl.DataType) -> None:
    with pytest.raises(DataError, match=r"'c': hardly any two items share a value"):
        with_cells(pl.Series([None] * 3, dtype=dtype), "")


def test_the_words_of_lists_of_texts_are_those_of_their_texts() -> None:
    """Arrays in JSON lines are lists, and were texts in earlier versions."""
    lists = pl.Series([["a red cup", "of clay"], ["a red pot"], ["of clay"]])
    joined = pl.Series(["a red cup of clay", "a red pot", "of clay"])
    as_lists, as_texts = (with_cells(cells, ":words").interactions for cells in (lists, joined))
    assert as_lists.fingerprint == as_texts.fingerprint


def test_ids_in_lists_of_items_are_no_telephone_numbers() -> None:
    isbns = pl.Series([["0306406152", "9780306406157"], ["0306406152"], ["9780306406157"]])
    assert with_cells(isbns, "").interactions.item_features is not None


def test_lists_are_no_numbers() -> None:
    with pytest.raises(DataError, match=r"'c': holds lists.*leave :number out"):
        with_cells(pl.Series([[1, 2]] * 3), ":number")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (pl.Series(["1", "1", "2"], dtype=pl.Categorical), ":number"),
        (pl.Series(["1", "1", "2"], dtype=pl.Enum(["1", "2"])), ":number"),
        (pl.Series([timedelta(1), timedelta(1), timedelta(2)]), ":category"),
    ],
)
def test_kinds_that_a_type_allows(cells: pl.Series, kind: str) -> None:
    found = with_cells(cells, kind).interactions.item_features
    assert found is not None
    assert found.n_codes == 1


def test_lists_in_json_lines_are_features_part_by_part(tmp_path: Path) -> None:
    (tmp_path / "interactions.csv").write_text("user_id,item_id\na,x\nb,y\nb,z\n")
    rows = '{"id": "x", "kinds": ["A", "B"]}\n{"id": "y", "kinds": ["B"]}\n{"id": "z"}\n'
    (tmp_path / "items.jsonl").write_text(rows)
    for asked in ("kinds", "kinds:list"):
        found = with_features(read_dataset(tmp_path), items=(asked,), users=()).interactions
        assert found.item_features is not None
        assert found.item_features.offsets.tolist() == [0, 1, 2, 2]
        assert found.item_features.codes.tolist() == [0, 0]  # B; A is of one item only


@pytest.mark.parametrize("dtype", [pl.List(pl.String), pl.List(pl.Categorical), pl.Categorical])
def test_contacts_in_other_types_of_text_are_refused(dtype: pl.DataType) -> None:
    shared = ["ada@x.es", "ada@x.es", "bo@x.es", "bo@x.es", None]
    cells = shared if dtype == pl.Categorical else [[cell] if cell else None for cell in shared]
    users = USERS.with_columns(c=pl.Series(cells, dtype=dtype))
    with pytest.raises(DataError, match="'c': holds e-mail addresses, so it is never used"):
        with_features(dataset(users), items=(), users=("c",))

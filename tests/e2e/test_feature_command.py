"""Features from a folder to a stored model, through the commands; and the people in it stay out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recsys import evaluate, train
from recsys.errors import DataError
from tests.support.examples import aisles

NAMES = ("Fernanda", "Huesca-Ortiz")
TINY = ["--epochs", "2", "--dim", "4", "--lr", "0.05"]


def shop(folder: Path) -> Path:
    """The aisles as a folder, with names in the user table."""
    data = aisles()
    assert data.times is not None
    events = [
        f"{data.user_ids[user]},{data.item_ids[item]},{time // 1_000_000}"
        for user, item, time in zip(data.users, data.items, data.times, strict=True)
    ]
    first, last = NAMES
    users = [
        f"{user},{first} {last} {user},{first.lower()}{user}@example.com,zone{int(user) % 3}"
        for user in data.user_ids
    ]
    items = [f"{item},shelf{int(item) % 3}|all,{item}.50" for item in data.item_ids]
    for name, lines in (
        ("interactions", ["user_id,item_id,timestamp", *events]),
        ("users", ["user_id,nombre,email,zone", *users]),
        ("items", ["item_id,shelf,price", *items]),
    ):
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def leaks(text: str) -> bool:
    return any(name.casefold() in text.casefold() for name in (*NAMES, "@example.com"))


def test_train_then_evaluate_with_the_printed_command(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = shop(tmp_path)
    flags = ["--data", str(data), "--item-features", "shelf,price", "--user-features", "zone"]
    artifacts = tmp_path / "model"
    call = [*flags, "--artifacts", str(artifacts), "--split", "global-time", *TINY]
    assert train.main(call) == 0
    out = capfd.readouterr().out
    assert "items       shelf (4), price (20); 60 of 60 have some" in out
    assert "users       zone (3); 90 of 90 have some" in out
    command = re.search(r"^next +python -m recsys\.evaluate (.*)$", out, re.MULTILINE)
    assert command
    assert evaluate.main(command[1].split()) == 0
    again = capfd.readouterr().out
    cold = re.findall(r"^cold .*$", out, re.MULTILINE)
    assert cold == re.findall(r"^cold .*$", again, re.MULTILINE)
    assert not leaks(out + again)
    stored = [path.read_bytes().decode("latin-1") for path in artifacts.iterdir()]
    assert len(stored) > 5
    assert not any(map(leaks, stored))
    with pytest.raises(DataError, match="give --data and its options as in training"):
        evaluate.main(["--artifacts", str(artifacts), "--data", str(data)])


def test_mistakes_cost_no_training_and_name_nobody(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = ["--item-features", "shlef", "--user-features", "nombre,email,age"]
    call = ["--data", str(shop(tmp_path)), "--artifacts", str(tmp_path / "a"), *flags]
    with pytest.raises(DataError) as caught:
        train.main(call)
    text = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    assert "'shlef': no such column; there are: 'shelf', 'price'" in text
    assert "'age': no such column; there are: 'zone'" in text
    assert not leaks(text + "".join(capfd.readouterr()))

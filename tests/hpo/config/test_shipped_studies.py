"""Study files by name: the folder `studies` goes before the shipped ones; a path stays a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.config.shipped_studies import shipped_folder, shipped_names, study_path
from hpo.errors import SettingsError
from tests.support.paths import STUDIES


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_checkout_ships_its_folder_of_studies() -> None:
    assert shipped_folder() == STUDIES
    assert shipped_names() == sorted(path.stem for path in STUDIES.glob("*.toml"))


@pytest.mark.parametrize("name", ["two_tower", "wide", "smoke"])
def test_a_name_means_a_shipped_file(name: str) -> None:
    assert study_path(name) == STUDIES / f"{name}.toml"


def test_an_edited_copy_goes_before_the_shipped_file(empty_folder: Path) -> None:
    (empty_folder / "studies").mkdir()
    for name in ("smoke", "shop"):
        (empty_folder / "studies" / f"{name}.toml").write_text("", encoding="utf-8")
    assert study_path("smoke") == Path("studies/smoke.toml")
    assert study_path("shop") == Path("studies/shop.toml")
    assert study_path("wide") == STUDIES / "wide.toml"


@pytest.mark.parametrize("path", ["smoke.toml", "./smoke", "studies/none.toml", "/tmp/smoke"])
def test_a_path_stays_a_path(path: str) -> None:
    assert study_path(path) == Path(path)


def test_a_folder_beside_does_not_hide_a_shipped_name(empty_folder: Path) -> None:
    (empty_folder / "smoke").mkdir()
    (empty_folder / "mine").mkdir()
    assert study_path("smoke") == STUDIES / "smoke.toml"
    assert study_path("mine") == Path("mine")  # reading it says that it is a folder


@pytest.mark.parametrize("name", ["two-tower", ""])
def test_an_unknown_name_is_answered_with_the_shipped_ones(name: str) -> None:
    with pytest.raises(SettingsError, match=r"no study file of that name; shipped: .*two_tower"):
        study_path(name)

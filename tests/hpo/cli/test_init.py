"""`hpo init` writes a shipped study file out and overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.cli.init import main
from hpo.config.shipped_studies import study_path
from hpo.config.toml_file import load_study_config
from hpo.errors import SettingsError
from recsys.errors import ConfigError
from tests.support.paths import STUDIES


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_copy_is_what_the_name_means_from_then_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wide"]) == 0
    assert study_path("wide") == Path("studies/wide.toml")
    assert load_study_config(study_path("wide"), {}) == load_study_config(STUDIES / "wide.toml", {})
    schema = Path("studies/study.schema.json")
    assert schema.read_bytes() == (STUDIES / "study.schema.json").read_bytes()
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["written: studies/wide.toml", "written: studies/study.schema.json"]
    assert lines[2] == "edit it, then: python -m hpo.run --study wide"


def test_without_a_name_it_is_the_default_study(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", "shop/mine.toml"]) == 0
    text = Path("shop/mine.toml").read_text(encoding="utf-8")
    assert text == (STUDIES / "two_tower.toml").read_text(encoding="utf-8")
    assert "hpo.run --study shop/mine.toml\n" in capsys.readouterr().out


def test_nothing_is_overwritten() -> None:
    main(["smoke"])
    edited = Path("studies/smoke.toml")
    edited.write_text("n_trials = 3\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"studies/smoke\.toml: exists and is left as it is"):
        main(["smoke"])
    assert edited.read_text(encoding="utf-8") == "n_trials = 3\n"


def test_what_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"file/x\.toml: cannot be written: "):
        main(["--out", "file/x.toml"])
    with pytest.raises(ConfigError, match=r"--out shop: must end in \.toml"):
        main(["--out", "shop"])
    with pytest.raises(SystemExit, match="2"):
        main(["nothing"])
    assert "two_tower" in capsys.readouterr().err

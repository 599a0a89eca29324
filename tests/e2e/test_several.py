"""Commands beside several studies: those that change something ask, those that read say."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.trial import TrialState

from hpo import promote, replay, report, sync
from hpo.errors import StudyError
from tests.support.fake_study import FakeStudy, locations

NEWEST = "study second, the newest of 2; choose another with --study-name NAME\n"


@pytest.fixture
def stores(tmp_path: Path, mlflow_uri: str) -> list[str]:
    """Options of two studies in one storage."""
    for name in ("first", "second"):
        FakeStudy(locations(tmp_path, mlflow_uri), 1, name).run(TrialState.COMPLETE)
    return ["--storage", locations(tmp_path).storage, "--tracking-uri", mlflow_uri]


def test_what_changes_something_or_trains_asks_which_one(stores: list[str]) -> None:
    for call in (
        lambda: promote.main(stores),
        lambda: promote.main([*stores, "--dry-run"]),
        lambda: sync.main(stores),
        lambda: sync.main([*stores, "--follow"]),
        lambda: replay.main(["--trial", "0", *stores]),
    ):
        with pytest.raises(StudyError, match="2 studies here; say which one") as refused:
            call()
        assert refused.value.exit_code == 2
        names = [line.split()[0] for line in refused.value.problems[1:]]
        assert names == ["second", "first"]
    assert sync.main([*stores, "--study-name", "first"]) == 0


def test_what_reads_takes_the_newest_and_says_so(
    stores: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.main([*stores, "--csv", str(tmp_path / "trials.csv")]) == 0
    said = capsys.readouterr()
    assert said.err == NEWEST
    assert said.out.endswith("1 trial of study second\n")
    assert sync.main([*stores, "--check"]) == 3
    said = capsys.readouterr()
    assert said.err == NEWEST
    assert "study second: " in said.out
    named = [*stores, "--study-name", "first"]
    assert report.main([*named, "--csv", "-"]) == 0
    assert sync.main([*named, "--check"]) == 3
    said = capsys.readouterr()
    assert "newest" not in said.err
    assert "study first: " in said.out


def test_help_tells_which_study_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    for module, words in (
        (promote, "the only one; required where there are several)"),
        (report, "(default: the newest)"),
        (sync, "required where there are several; --check: the newest)"),
    ):
        assert words in " ".join(module.parser().format_help().split())

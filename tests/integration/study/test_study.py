"""Opening studies: made once, continued only if it is the same, never half-made."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import text

from hpo.errors import SettingsError, StudyError
from hpo.study.lifecycle import load_named, load_newest, open_study, study_lines
from hpo.study.records import StudyRecord
from hpo.study.storage import open_storage
from tests.support.fake_study import FakeStudy, locations
from tests.support.scripted import (
    study_config,
    study_record,
)
from tests.support.storage_url import url

START = """
import sys
from hpo.study.storage import open_storage
open_storage(sys.argv[1])
"""


def test_a_new_file_is_in_wal_mode_and_has_no_leftovers(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    with storage.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    names = {path.name for path in (tmp_path / "deep").iterdir()}
    assert {name for name in names if name.startswith(".")} == {".locks"}


def test_six_first_starters_at_once(tmp_path: Path) -> None:
    starters = [
        subprocess.Popen([sys.executable, "-c", START, url(tmp_path)], stderr=subprocess.PIPE)
        for _ in range(6)
    ]
    errors = [starter.communicate()[1] for starter in starters]
    assert [starter.returncode for starter in starters] == [0] * 6, errors


def test_trial_zero_is_the_default_configuration(tmp_path: Path) -> None:
    study, _ = open_study(open_storage(url(tmp_path)), "s", study_record(study_config()))
    (trial,) = study.trials
    assert trial.system_attrs["fixed_params"] == {"dim": 8, "lr": 0.01, "epochs": 4}


def test_continuing_gives_the_first_record_back(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    _, first = open_study(storage, "s", study_record(study_config()))
    study, again = open_study(storage, "s", study_record(study_config(n_trials=99)))
    assert again.uid == first.uid
    assert again.config == study_config(n_trials=99)
    assert len(study.trials) == 1


def test_a_hyperparameter_that_is_newer_than_the_study_has_its_default(tmp_path: Path) -> None:
    storage, whole = open_storage(url(tmp_path)), study_config().with_whole_base()
    older = {name: value for name, value in whole.base.items() if name != "neighbours"}
    open_study(storage, "s", study_record(whole.model_copy(update={"base": older})))
    _, record = open_study(storage, "s", study_record(whole))
    assert record.config.train_config == whole.train_config
    changed = whole.model_copy(update={"base": {**whole.base, "neighbours": 99}})
    with pytest.raises(StudyError, match="base.neighbours: was 30, is 99"):
        open_study(storage, "s", study_record(changed))


def test_tags_and_description_can_be_added_later(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    open_study(storage, "s", study_record(study_config(tags={"team": "a", "x": "1"})))
    later = study_config(tags={"team": "b"}, description="why")
    study, record = open_study(storage, "s", study_record(later))
    assert record.config.tags == {"team": "b", "x": "1"}
    assert StudyRecord.of(study).config.description == "why"


def test_everything_that_differs_is_told_at_once(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    open_study(storage, "s", study_record(study_config()))
    other = study_config(seed=1, space={"dim": {"low": 4, "high": 99}})
    with pytest.raises(StudyError) as caught:
        open_study(storage, "s", study_record(other, "data-2"))
    message = str(caught.value)
    for part in (
        "data-2",
        "seed: was 0, is 1",
        "space.lr: was { low = 0.001, high = 0.1, log = true }, is absent",
        "--study-name s-2",
    ):
        assert part in message


def test_a_foreign_study_is_left_alone(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    foreign = optuna.create_study(storage=storage, study_name="s")
    foreign.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(StudyError, match="another program"):
        open_study(storage, "s", study_record(study_config()))


def test_a_kill_between_making_and_describing_is_mended(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    optuna.create_study(storage=storage, study_name="s", direction="maximize")
    study, record = open_study(storage, "s", study_record(study_config()))
    assert StudyRecord.of(study) == record
    assert len(study.trials) == 1


def test_a_study_is_guessed_only_for_reading(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    start = f"python -m hpo.run --storage {url(tmp_path)} --n-trials 50"
    with pytest.raises(StudyError, match=f"no study here yet; start one with: {start}"):
        load_named(storage, None)
    said: list[str] = []
    open_study(storage, "only", study_record(study_config()))
    assert load_named(storage, None).study_name == "only"
    assert load_newest(storage, None, said.append).study_name == "only"
    open_study(storage, "new", study_record(study_config()))
    with pytest.raises(StudyError, match="2 studies here") as refused:
        load_named(storage, None)
    assert refused.value.exit_code == 2
    assert load_newest(storage, "only", said.append).study_name == "only"
    assert said == []
    assert load_newest(storage, None, said.append).study_name == "new"
    assert said == ["study new, the newest of 2; choose another with --study-name NAME"]


def test_the_studies_to_choose_from_are_listed_newest_first(tmp_path: Path) -> None:
    first = FakeStudy(locations(tmp_path), name="first")
    first.run(TrialState.COMPLETE)
    first.run(TrialState.COMPLETE)
    FakeStudy(locations(tmp_path), name="b <b>").run(TrialState.FAIL, cause="error")
    for number in range(9):
        FakeStudy(locations(tmp_path), name=f"empty-{number}")
    with pytest.raises(StudyError) as refused:
        load_named(first.storage, None)
    lines = refused.value.problems
    assert lines[0] == "11 studies here; say which one with --study-name NAME:"
    assert lines[1].split() == ["empty-8", "0", "trials", "no", "complete", "trial", "not", "begun"]
    day = f"began {datetime.now():%Y-%m-%d}"  # noqa: DTZ005  (Optuna keeps local time)
    assert re.fullmatch(rf"  b <b>    1 trial   no complete trial  {day} \d\d:\d\d", lines[10])
    assert lines[11:] == ("  and 1 older",)
    (last,) = study_lines(first.storage, ["first"])
    assert last.startswith("  first  2 trials  best recall_at_10 0.0010  began ")


def test_a_named_study_need_not_be_the_newest(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    for name in ("b", "a"):
        open_study(storage, name, study_record(study_config()))
    assert load_named(storage, "b").study_name == "b"
    with pytest.raises(StudyError, match="there are: b, a"):
        load_named(storage, "c")


def test_a_server_that_is_not_there_is_a_message_without_the_password() -> None:
    with pytest.raises(SettingsError, match="cannot be opened") as caught:
        open_storage("postgresql+psycopg://user:secret@127.0.0.1:1/db")
    assert "secret" not in str(caught.value)


def test_an_option_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="qmc has no option startup; it has none"):
        study_config(sampler={"name": "qmc", "startup": 3})
    with pytest.raises(ValueError, match="asha has no option keep; it has warmup, reduction"):
        study_config(pruner={"name": "asha", "keep": 10.0})


def test_a_study_that_minimizes_is_none_of_ours(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    optuna.create_study(storage=storage, study_name="s")
    with pytest.raises(StudyError, match="made by another program"):
        open_study(storage, "s", study_record(study_config()))

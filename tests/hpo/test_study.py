"""Opening studies: made once, continued only if it is the same, never half-made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy import text

from hpo.errors import SettingsError, StudyError
from hpo.ledger import Ledger
from hpo.records import StudyRecord
from hpo.storage import open_storage
from hpo.study import load_study, make_sampler, open_study
from tests.hpo.scripted import SPACE, epoch_result, study_config, study_record

START = """
import sys
from hpo.storage import open_storage
open_storage(sys.argv[1])
"""


def url(tmp_path: Path) -> str:
    return f"sqlite:///{(tmp_path / 'deep' / 'optuna.db').as_posix()}"


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
    for part in ("data-2", "seed: was 0, is 1", "space.lr: was low=0.001", "--study-name NEW"):
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


def test_the_newest_study_is_the_default(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    with pytest.raises(StudyError, match="no study here yet"):
        load_study(storage, None)
    for name in ("b", "a"):
        open_study(storage, name, study_record(study_config()))
    assert load_study(storage, None).study_name == "a"
    assert load_study(storage, "b").study_name == "b"
    with pytest.raises(StudyError, match="there are: b, a"):
        load_study(storage, "c")


def test_a_server_that_is_not_there_is_a_message_without_the_password() -> None:
    with pytest.raises(SettingsError, match="cannot be opened") as caught:
        open_storage("postgresql+psycopg://user:secret@127.0.0.1:1/db")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_resumed_study_never_repeats_a_suggestion(sampler: str) -> None:
    config = study_config(sampler={"name": sampler})
    drawn = []
    for number in range(8):
        trial = optuna.create_study(sampler=make_sampler(config, number)).ask()
        drawn.append(trial.suggest_float("x", 0, 1))
    assert len(set(drawn)) == 8


def test_changes_are_accepted_on_request_and_noted(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    open_study(storage, "s", study_record(study_config()))
    wider = study_config(space={**SPACE, "dim": {"low": 4, "high": 128, "log": True}})
    now = study_record(wider, fingerprint="data-2")
    with pytest.raises(StudyError, match=r"(?s)data-1.*data-2.*space.dim.*--accept-changes"):
        open_study(storage, "s", now)
    study, record = open_study(storage, "s", now, accept_changes=True)
    assert (record.split_fingerprint, record.config.space) == ("data-2", wider.space)
    assert record.uid == StudyRecord.of(study).uid != now.uid
    (note,) = record.changes
    assert (note["trial"], note["other_data"]) == (1, True)
    assert record.comparable_from == 1
    assert open_study(storage, "s", now)[1] == record, "once is enough"


@pytest.mark.parametrize(
    "other",
    [
        {"base": {"dim": 8, "lr": 0.01, "epochs": 4, "mix": 0.5}},
        {"space": {**SPACE, "epochs": {"choices": [2, 4]}}},
    ],
)
def test_another_experiment_is_refused_whatever_is_accepted(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    storage = open_storage(url(tmp_path))
    open_study(storage, "s", study_record(study_config()))
    with pytest.raises(StudyError, match="settings\\."):
        open_study(storage, "s", study_record(study_config(**other)), accept_changes=True)


def test_values_of_other_data_are_not_told_again(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    study, record = open_study(storage, "s", study_record(study_config()))
    ledger = Ledger(study, record.config)
    first = ledger.start("scripted", 1)
    ledger.report(first, epoch_result(1, 0.2))
    ledger.complete(first)
    now = study_record(study_config(), fingerprint="data-2")
    for accepted, known in ((study_record(study_config()), True), (now, False)):
        study, record = open_study(storage, "s", accepted, accept_changes=True)
        study.enqueue_trial(first.trial.params)
        again = Ledger(study, record.config).start("scripted", 1)
        assert (again.same_as is not None) is known

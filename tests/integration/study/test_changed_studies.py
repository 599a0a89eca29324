"""Studies that go on with other data, ranges, limits or pruners than they began with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna import Study

from hpo.errors import PromotionError, StudyError
from hpo.execution.ledger import Ledger
from hpo.execution.scheduler import Scheduler
from hpo.execution.summary import trial_table
from hpo.study.candidates import top_candidates
from hpo.study.lifecycle import open_study
from hpo.study.records import Outcome, StudyRecord, epochs_of
from hpo.study.storage import open_storage
from tests.support.scripted import (
    SPACE,
    MemoryProgress,
    ScriptedRunner,
    completed,
    epoch_result,
    make_study,
    study_config,
    study_record,
)
from tests.support.storage_url import url


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


def test_another_filter_is_never_taken_in_silence(tmp_path: Path) -> None:
    """Not even if it leaves the same rows out: tomorrow's rows may differ."""
    storage = open_storage(url(tmp_path))
    open_study(storage, "s", study_record(study_config()))
    data = {"source": "demo", "min_rating": 4, "min_user_rows": 2}
    now = study_record(study_config(data=data))
    with pytest.raises(StudyError, match=r"(?s)data.min_rating: was absent, is 4.*min_user_rows"):
        open_study(storage, "s", now)
    _, record = open_study(storage, "s", now, accept_changes=True)
    assert record.config.data.min_rating == 4
    assert not record.changes[0]["other_data"]


@pytest.mark.parametrize(
    "other",
    [
        {"base": {"dim": 8, "lr": 0.01, "epochs": 4, "mix": 0.5}},
        {"space": {**SPACE, "epochs": {"choices": [2, 4]}}},
        {"space": {**SPACE, "dim": {"low": 4, "high": 64}}},
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
    first = completed(Ledger(study, record.config), 0.2)
    now = study_record(study_config(), fingerprint="data-2")
    for accepted, known in ((study_record(study_config()), True), (now, False)):
        study, record = open_study(storage, "s", accepted, accept_changes=True)
        study.enqueue_trial(first.trial.params)
        later = Ledger(study, record.config)
        again = later.start("scripted", 1)
        assert later.claim(again)
        assert (again.same_as is not None) is known


def test_values_of_other_data_neither_win_nor_race_nor_stand_in_the_table(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    study, record = open_study(storage, "s", study_record(study_config()))
    completed(Ledger(study, record.config), 0.9)
    now = study_record(study_config(), fingerprint="data-2")
    study, record = open_study(storage, "s", now, accept_changes=True)
    ledger = Ledger(study, record.config)
    assert ledger.best() is None
    with pytest.raises(PromotionError, match=r"data of today \(from trial 1 on\)"):
        top_candidates(study, 5)
    lower = completed(ledger, 0.2)
    best = ledger.best()
    assert best is not None
    assert best.number == lower.trial.number
    assert [one.trial for one in top_candidates(study, 5)] == [lower.trial.number]
    assert trial_table(study, record).row_count == 1 + len(record.baselines)


def test_constraints_are_part_of_the_study_and_budgets_are_not(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    open_study(storage, "s", study_record(study_config()))
    budget = {"trial_seconds": 5.0, "threads": 2, "retries": {"worker_died": 0}}
    _, record = open_study(storage, "s", study_record(study_config(**budget)))
    assert (record.config.trial_seconds, record.config.threads) == (5.0, 2)
    assert record.config.retries.worker_died == 0
    limited = study_config(constraints={"model_mb": 5})
    with pytest.raises(StudyError, match=r"constraints\.model_mb: was absent, is 5"):
        open_study(storage, "s", study_record(limited))


def test_what_a_limit_ended_is_tried_anew(tmp_path: Path) -> None:
    config = study_config()
    study, _ = open_study(open_storage(url(tmp_path)), "s", study_record(config))
    for cause, is_known in (("time-limit", False), ("diverged", True)):
        ledger = Ledger(study, config)
        first = ledger.start("scripted", 1)
        state, outcome = ledger.fail(first, first.outcome(cause, "no"))  # type: ignore[arg-type]
        assert (state.name, outcome.order) == ("PRUNED", first.number)
        study.enqueue_trial(first.trial.params)
        later = Ledger(study, config)
        again = later.start("scripted", 1)
        assert later.claim(again)
        assert (again.same_as is not None) is is_known
        if not is_known:
            ledger.fail(again, again.outcome("error", "no"))
            study.enqueue_trial({"dim": 12, "lr": 0.01, "epochs": 4})


@pytest.mark.parametrize(("pruner", "is_known"), [("median", True), ("none", False)])
def test_what_a_pruner_ended_is_trained_to_its_end_without_one(
    tmp_path: Path, pruner: str, is_known: bool
) -> None:
    study = make_study(tmp_path, study_config())
    ledger = Ledger(study, study_config())
    first = ledger.start("scripted", 1)
    ledger.report(first, epoch_result(1, 0.2))
    ledger.prune(first)
    study.enqueue_trial(first.trial.params)
    later = Ledger(study, study_config(pruner={"name": pruner}))
    again = later.start("scripted", 1)
    assert later.claim(again)
    assert (again.same_as is not None) is is_known


def test_what_was_parked_on_other_data_starts_again(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    study, record = open_study(storage, "s", study_record(study_config()))
    ledger = Ledger(study, record.config, tmp_path / "parked")
    first = ledger.start("scripted", 1)
    ledger.report(first, epoch_result(1, 0.2))
    ledger.park(first)
    assert Ledger(study, record.config).recover() == 0
    assert [trial.state.name for trial in study.trials] == ["WAITING"]
    now = study_record(study_config(), fingerprint="data-2")
    study, record = open_study(storage, "s", now, accept_changes=True)
    ledger = Ledger(study, record.config)
    assert ledger.recover() == 0
    assert [trial.state.name for trial in study.trials] == ["FAIL", "WAITING"]
    again = ledger.start("scripted", 1)
    assert (again.config, again.attempt.number) == (first.config, 2)
    assert again.reported == set()


@pytest.mark.parametrize(
    ("space", "goes_on"),
    [
        ({name: SPACE[name] for name in ("dim", "lr")}, False),
        ({**SPACE, "mix": {"low": 0.1, "high": 1.0}}, False),
        ({**SPACE, "lr": {"low": 1e-4, "high": 5e-3, "log": True}}, True),
    ],
)
def test_what_was_parked_goes_on_with_its_own_config_or_not_at_all(
    tmp_path: Path, space: dict[str, Any], goes_on: bool
) -> None:
    """Else one curve would be of two configurations."""
    storage = open_storage(url(tmp_path))
    study, record = open_study(storage, "s", study_record(study_config()))
    ledger = Ledger(study, record.config, tmp_path / "parked")
    first = ledger.start("scripted", 1)
    ledger.report(first, epoch_result(1, 0.2))
    ledger.park(first)
    now = study_record(study_config(space=space))
    study, record = open_study(storage, "s", now, accept_changes=True)
    ledger = Ledger(study, record.config)
    ledger.recover()
    state, outcome = study.trials[0].state, Outcome.of(study.trials[0])
    again = ledger.start("scripted", 1)
    if goes_on:
        assert (state.name, again.number) == ("WAITING", 0)
        assert (again.config, again.reported) == (first.config, {1})
    else:
        assert outcome is not None
        assert (state.name, outcome.cause) == ("FAIL", "interrupted")
        assert outcome.message.startswith("parked with a configuration")
        assert again.number > 0
        assert again.reported == set()


def changed(folder: Path, fingerprint: str = "data-1", **values: Any) -> tuple[Ledger, Study]:
    """The study as a launcher takes it over with `--accept-changes`."""
    now = study_record(study_config(**values), fingerprint)
    study, record = open_study(open_storage(url(folder)), "s", now, accept_changes=True)
    ledger = Ledger(study, record.config, measures={"model_mb": lambda config: config.dim / 2})
    ledger.recover()
    return ledger, study


def test_what_waits_when_the_data_changes_waits_again_behind_the_change(tmp_path: Path) -> None:
    """Else warm starts would train on the new data, and could not win there."""
    asked = {"warm_starts": [{"dim": dim} for dim in (16, 32, 64)], "n_trials": 4}
    ledger, study = changed(tmp_path, **asked)
    Scheduler(ledger, [ScriptedRunner()], MemoryProgress(), 1).run()
    study.enqueue_trial({"dim": 5})  # a user's own, which the sampler completes
    for _ in range(2):
        ledger, study = changed(tmp_path, "data-2", **asked)
        states = [trial.state.name for trial in study.trials]
        assert states == ["COMPLETE", *["FAIL"] * 4, *["WAITING"] * 5]
        waiting = [trial.system_attrs["fixed_params"]["dim"] for trial in study.trials[5:]]
        assert waiting == [8, 16, 32, 64, 5]
    outcomes = [Outcome.of(trial) for trial in study.trials[1:5]]
    assert {(o.cause, o.message) for o in outcomes if o} == {
        ("interrupted", "queued before the study changed")
    }
    Scheduler(ledger, [ScriptedRunner()], MemoryProgress(), 4).run()
    best = ledger.best()
    assert best is not None
    assert best.params["dim"] == 32


def test_a_retry_that_waits_when_the_data_changes_keeps_its_seed(tmp_path: Path) -> None:
    ledger, _ = changed(tmp_path)
    first = ledger.start("scripted", 1)
    ledger.fail(first, first.outcome("worker-died", "gone"))
    ledger.requeue()
    ledger, _ = changed(tmp_path, "data-2")
    again = ledger.start("scripted", 1)
    assert again.number == 2
    assert (again.config, again.attempt.origin, again.attempt.number) == (first.config, 0, 3)


def test_what_waits_when_the_constraints_change_is_judged_once(tmp_path: Path) -> None:
    """A trial below the change would be taken for one that broke the old constraints."""
    starts = [{"dim": 16}, {"dim": 64}]
    ledger, _ = changed(tmp_path, warm_starts=starts)
    Scheduler(ledger, [ScriptedRunner()], MemoryProgress(), 1).run()
    tight = {"warm_starts": starts, "constraints": {"model_mb": 10}}
    ledger, _ = changed(tmp_path, **tight)
    Scheduler(ledger, [ScriptedRunner()], MemoryProgress(), 3).run()
    _, study = changed(tmp_path, **tight)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "FAIL", "FAIL", "COMPLETE", "PRUNED"]


def test_what_was_parked_and_breaks_a_new_constraint_keeps_its_curves(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    parked, start = tmp_path / "parked", {"dim": 64, "lr": 0.01, "epochs": 4}
    study, record = open_study(storage, "s", study_record(study_config(base=start)))
    ledger = Ledger(study, record.config, parked)
    first = ledger.start("scripted", 1)
    ledger.report(first, epoch_result(1, 0.2))
    ledger.park(first)
    assert first.snapshot is not None
    first.snapshot.parent.mkdir()
    first.snapshot.write_bytes(b"a snapshot")
    tight = study_config(base=start, constraints={"model_mb": 10})
    study, record = open_study(storage, "s", study_record(tight), accept_changes=True)
    measures = {"model_mb": lambda config: config.dim / 2}
    ledger = Ledger(study, record.config, parked, measures)
    ledger.recover()
    again = ledger.start("scripted", 1)
    assert (again.number, again.violation, again.notice) == (0, "model_mb 32 > 10", "")
    ledger.prune(again)
    trial = study.trials[0]
    assert trial.state.name == "PRUNED"
    assert epochs_of(trial)["recall_at_10"] == [0.2]
    assert not first.snapshot.exists()

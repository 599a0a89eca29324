"""Opening studies: made once, continued only if it is the same, never half-made."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import text

from hpo.config.study_config import StudyConfig
from hpo.errors import PromotionError, SettingsError, StudyError
from hpo.execution.ledger import Ledger
from hpo.execution.scheduler import Scheduler
from hpo.execution.summary import trial_table
from hpo.search.samplers import derive_seed, make_sampler
from hpo.study.candidates import default_candidate, top_candidates
from hpo.study.lifecycle import load_named, load_newest, open_study, study_lines
from hpo.study.records import Outcome, StudyRecord, comparable
from hpo.study.storage import open_storage
from hpo.study.trial_rows import default_trial, read_trials
from hpo.study.warm_starts import with_best_of
from tests.support.fake_study import FakeStudy, locations
from tests.support.scripted import (
    SPACE,
    MemoryProgress,
    ScriptedRunner,
    epoch_result,
    make_study,
    study_config,
    study_record,
)

START = """
import sys
from hpo.study.storage import open_storage
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


SAMPLERS = ["tpe", "gp", "cmaes", "qmc", "random"]


def suggestions(folder: Path, sampler: str, n: int, stops: tuple[int, ...] = ()) -> list:
    """Of a study whose program ended before these trials and was started again."""
    options = {} if sampler in ("qmc", "random") else {"startup": 3}
    config = study_config(sampler={"name": sampler, **options})
    space = {
        "x": optuna.distributions.FloatDistribution(0, 1),
        "y": optuna.distributions.FloatDistribution(0, 1),
    }
    drawn = []
    for number in range(n):
        if number == 0 or number in stops:
            study = optuna.create_study(
                study_name="s",
                storage=open_storage(url(folder)),
                direction="maximize",
                load_if_exists=True,
            )
        study.sampler = make_sampler(config, number)
        trial = study.ask(space)
        study.tell(trial, 1 - (trial.params["x"] - 0.3) ** 2 - (trial.params["y"] - 0.6) ** 2)
        drawn.append(tuple(trial.params.values()))
    return drawn


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_resumed_study_goes_on_as_if_it_had_not_stopped(tmp_path: Path, sampler: str) -> None:
    straight = suggestions(tmp_path / "a", sampler, 6)
    assert suggestions(tmp_path / "b", sampler, 6, stops=(2, 5)) == straight
    assert len(set(straight)) == 6, "a suggestion was repeated"


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_workers_that_start_at_once_get_different_suggestions(sampler: str) -> None:
    config = study_config(sampler={"name": sampler})
    study, drawn = optuna.create_study(), []
    for number in range(8):
        study.sampler = make_sampler(config, number)
        drawn.append(study.ask().suggest_float("x", 0, 1))
    assert len(set(drawn)) == 8


CONDITIONAL = {"window_share": {"low": 0.1, "high": 0.9, "when": {"cuts": {"low": 2}}},
               "cuts": {"choices": [1, 2]}}  # fmt: skip


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    ("sampler", "further"),
    [*((name, {}) for name in SAMPLERS), ("tpe", CONDITIONAL)],
)
def test_a_range_that_was_widened_is_searched(
    tmp_path: Path, sampler: str, further: dict[str, Any]
) -> None:
    def config(high: float) -> StudyConfig:
        options = {} if sampler in ("qmc", "random") else {"startup": 2}
        space = {"mix": {"low": 0.0, "high": high}, "epochs": {"low": 2, "high": 8}, **further}
        return study_config(space=space, sampler={"name": sampler, **options})

    storage = open_storage(url(tmp_path))
    study, _ = open_study(storage, "s", study_record(config(0.1)))
    run_trials(Ledger(study, config(0.1)), 6)
    study, _ = open_study(storage, "s", study_record(config(1.0)), accept_changes=True)
    run_trials(Ledger(study, config(1.0)), 12)
    drawn = [trial.params["mix"] for trial in study.trials[6:]]
    assert max(drawn) > 0.2


def run_trials(ledger: Ledger, n_trials: int) -> None:
    """Finish trials whose value grows with `mix`."""
    for _ in range(n_trials):
        assignment = ledger.start("scripted", 1)
        if not assignment.violation:
            ledger.report(assignment, epoch_result(1, assignment.config.mix / 10))
        ledger.complete(assignment)


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
    ledger = Ledger(study, record.config)
    first = ledger.start("scripted", 1)
    ledger.report(first, epoch_result(1, 0.2))
    ledger.complete(first)
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
    ledger = Ledger(study, record.config)
    higher = ledger.start("scripted", 1)
    ledger.report(higher, epoch_result(1, 0.9))
    ledger.complete(higher)
    now = study_record(study_config(), fingerprint="data-2")
    study, record = open_study(storage, "s", now, accept_changes=True)
    ledger = Ledger(study, record.config)
    assert ledger.best() is None
    with pytest.raises(PromotionError, match=r"data of today \(from trial 1 on\)"):
        top_candidates(study, 5)
    lower = ledger.start("scripted", 1)
    ledger.report(lower, epoch_result(1, 0.2))
    ledger.complete(lower)
    best = ledger.best()
    assert best is not None
    assert best.number == lower.trial.number
    assert [one.trial for one in top_candidates(study, 5)] == [lower.trial.number]
    assert trial_table(study, record).row_count == 1 + len(record.baselines)


def queued(study: optuna.Study) -> list[dict]:
    return [trial.system_attrs["fixed_params"] for trial in study.trials]


def test_warm_starts_follow_the_defaults_once_and_more_can_come(tmp_path: Path) -> None:
    storage, default = open_storage(url(tmp_path)), {"dim": 8, "lr": 0.01, "epochs": 4}
    first = study_config(warm_starts=[{"dim": 16}, {"dim": 8}])  # the second is the default
    study, _ = open_study(storage, "s", study_record(first))
    assert queued(study) == [default, {**default, "dim": 16}]
    later = study_config(warm_starts=[{"dim": 32.0, "lr": 0.1}])
    for _ in range(2):
        study, record = open_study(storage, "s", study_record(later))
        assert queued(study) == [
            default, {**default, "dim": 16}, {"dim": 32, "lr": 0.1, "epochs": 4},
        ]  # fmt: skip
    assert record.config.warm_starts == ({"dim": 16}, {"dim": 8}, {"dim": 32, "lr": 0.1})


def test_warm_starts_lost_by_a_kill_are_queued_later(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    config = study_config(warm_starts=[{"dim": 16}])
    study.set_user_attr("hpo:study", study_record(config).to_json())
    study.enqueue_trial({"dim": 8, "lr": 0.01, "epochs": 4})
    study, _ = open_study(storage, "s", study_record(config))
    assert [params["dim"] for params in queued(study)] == [8, 16]


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


def test_the_best_of_another_study_are_tried_where_they_fit(tmp_path: Path) -> None:
    config = study_config(n_trials=12, pruner={"name": "none"})
    other = make_study(tmp_path, config)
    Scheduler(Ledger(other, config), [ScriptedRunner()], MemoryProgress(), 12).run()
    best = top_candidates(other, 5)
    dims = sorted(candidate.config.dim for candidate in best)
    middle = dims[2]
    narrow = study_config(
        name="narrow",
        base={"dim": 4, "lr": 0.01, "mix": 0.5},
        space={"dim": {"low": 4, "high": middle}, "lr": {"low": 1e-3, "high": 1e-1, "log": True}},
    )
    said: list[str] = []
    starts = with_best_of(other, narrow, said.append).warm_starts
    fitting = [c for c in best if c.config.dim <= middle]
    assert list(starts) == [{"dim": c.config.dim, "lr": c.config.lr} for c in fitting]
    for candidate in set(best) - set(fitting):
        text = f"trial {candidate.trial} of small, left out: dim {candidate.config.dim} is not in 4"
        assert any(text in line for line in said)
    assert said[-1] == f"warm starts: {len(fitting)} of the best 5 trials of small"
    with pytest.raises(StudyError, match="no complete trial"):
        with_best_of(make_study(tmp_path, study_config(name="empty")), narrow, said.append)
    alien = narrow.model_copy(update={"trainable": "als:Als"})
    with pytest.raises(StudyError, match="tunes another model, the two-tower, not als:Als"):
        with_best_of(other, alien, said.append)
    with pytest.raises(StudyError, match="--warm-start-from small: is this study itself"):
        with_best_of(other, config, said.append)


def test_warm_starts_of_a_study_that_goes_on(tmp_path: Path) -> None:
    config = study_config(n_trials=6, pruner={"name": "none"})
    other = make_study(tmp_path, config)
    Scheduler(Ledger(other, config), [ScriptedRunner()], MemoryProgress(), 6).run()
    mine = study_config(name="mine", n_trials=2)
    said: list[str] = []
    first = with_best_of(other, mine, said.append)
    assert len(first.warm_starts) == 5
    study, record = open_study(other._storage, "mine", study_record(first))
    again = with_best_of(other, mine, said.append)
    assert again.warm_starts == ()
    assert said[-1] == "warm starts: 0 new of the best 5 trials of small"
    Scheduler(Ledger(study, record.config), [ScriptedRunner()], MemoryProgress(), 2).run()
    n = len(said)
    assert with_best_of(other, mine, said.append) is mine  # complete: nothing would try them
    assert len(said) == n


def test_seeds_of_a_study_with_warm_starts_are_its_own() -> None:
    """Else it would draw the random trials of the study that they came from once more."""
    assert derive_seed(0, 7) == 368560125  # as it was before there were warm starts
    some, others = [{"dim": 16, "lr": 0.1}], [{"dim": 16, "lr": 0.2}]
    assert len({derive_seed(0, 7, starts) for starts in ([], some, others)}) == 3
    assert derive_seed(0, 7, some) == derive_seed(0, 7, [{"lr": 0.1, "dim": 16.0}])  # as stored
    for name in ("random", "tpe"):
        config = study_config(sampler={"name": name})
        drawn = [_first_of(c) for c in (config, config.model_copy(update={"warm_starts": some}))]
        assert drawn[0] != drawn[1]


def _first_of(config: StudyConfig) -> float:
    study = optuna.create_study(sampler=make_sampler(config, 0))
    return study.ask().suggest_float("lr", 0, 1)


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


def test_defaults_and_warm_starts_start_again_on_other_data(tmp_path: Path) -> None:
    storage, config = open_storage(url(tmp_path)), study_config(warm_starts=[{"dim": 16}])
    study, record = open_study(storage, "s", study_record(config))
    ledger = Ledger(study, record.config)
    for _ in range(2):
        assignment = ledger.start("scripted", 1)
        ledger.report(assignment, epoch_result(1, 0.2))
        ledger.complete(assignment)
    for _ in range(2):
        other = study_record(config, fingerprint="data-2")
        study, record = open_study(storage, "s", other, accept_changes=True)
        assert [trial.system_attrs["fixed_params"]["dim"] for trial in study.trials[2:]] == [8, 16]
    ledger = Ledger(study, record.config)
    assert ledger.n_comparable() == 0
    assert default_candidate(study) is None
    again = ledger.start("scripted", 1)
    ledger.report(again, epoch_result(1, 0.3))
    ledger.complete(again)
    default, row = default_candidate(study), default_trial(comparable(record, read_trials(study)))
    assert default is not None
    assert row is not None
    assert (default.trial, default.value) == (row.number, row.value) == (2, 0.3)
    assert row.is_default


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

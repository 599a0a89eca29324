"""What a run must hold follows from the storage alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.config.study_config import StudyConfig
from hpo.study.records import ATTEMPT, EPOCHS, OUTCOME, Attempt, Outcome, epochs_to_columns
from hpo.tracking.run_content import Content
from hpo.tracking.run_marks import Mark
from hpo.tracking.study_projection import project_study
from hpo.tracking.trial_projection import MAX_VALUE, StudyView, project_trial
from recsys.config import TrainConfig
from tests.support.fake_study import DISTRIBUTIONS, START, fake_record, result

START_MS = round(START.timestamp() * 1000)
PARAMS = {"dim": 64, "lr": 0.002}


UID = "2f1c"


def view(n_trials: int = 50, **config: Any) -> StudyView:
    """`config`: keys of the study file."""
    record = fake_record("fake-demo", n_trials)
    whole = StudyConfig.model_validate({**record.config.model_dump(exclude_none=True), **config})
    return StudyView("fake-demo", 7, replace(record, uid=UID, config=whole))


def times(n: int, pace_ms: int = 100) -> list[int]:
    return [START_MS + pace_ms * epoch for epoch in range(1, n + 1)]


def trial(
    state: TrialState,
    n_epochs: int = 3,
    *,
    number: int = 4,
    lost: int = 0,
    outcome: Outcome | None = None,
    end_s: float = 10,
    **changes: Any,
) -> FrozenTrial:
    """A trial that ran n epochs; of further `lost` epochs only the pruner's values are left."""
    results = [result(number, epoch) for epoch in range(1, n_epochs + lost + 1)]
    attrs: dict[str, Any] = {ATTEMPT: Attempt(1, number, 99, 2, "process").as_dict()}
    if n_epochs:
        attrs[EPOCHS] = epochs_to_columns(results[:n_epochs], times(n_epochs))
    if state.is_finished():
        attrs[OUTCOME] = (outcome or Outcome(n_epochs, 0.5)).as_dict()
    made = create_trial(
        state=state,
        value=results[-1].metrics.recall_at_10 if state.name in ("COMPLETE", "PRUNED") else None,
        params=PARAMS,
        distributions=DISTRIBUTIONS,
        user_attrs=attrs,
        intermediate_values={r.epoch: r.metrics.recall_at_10 for r in results},
    )
    made.number = number
    made.datetime_start = START
    made.datetime_complete = START + timedelta(seconds=end_s) if state.is_finished() else None
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def content(frozen: FrozenTrial) -> Content:
    found = project_trial(view(), frozen, "parent-id")
    assert found is not None
    return found


def points(found: Content) -> list[tuple[str, int, int, float]]:
    return sorted(
        (name, row.step, row.time_ms, value)
        for row in found.rows
        for name, value in zip(row.names, row.values, strict=True)
    )


def named(found: Content, name: str) -> list[tuple[int, int, float]]:
    return [point[1:] for point in points(found) if point[0] == name]


def test_a_complete_trial() -> None:
    found = content(trial(TrialState.COMPLETE))
    assert (found.trial, found.name) == (4, "trial-004")
    assert (found.status, found.start_ms, found.end_ms) == ("FINISHED", START_MS, START_MS + 10_000)
    config = TrainConfig(epochs=40, dim=64, lr=0.002, seed=99)
    assert found.params == {name: str(value) for name, value in config.as_dict().items()}
    expected = [
        (name, epoch, START_MS + 100 * epoch, value)
        for epoch in (1, 2, 3)
        for name, value in {
            "train_loss": result(4, epoch).train_loss,
            **result(4, epoch).metrics.as_dict(),
        }.items()
    ]
    end = START_MS + 10_000
    expected += [("seconds", 0, end, 0.5), ("best_epoch", 0, end, 3.0)]
    expected += [("best_recall_at_10", 0, end, result(4, 3).metrics.recall_at_10)]
    assert points(found) == sorted(expected)
    assert found.tags == {
        "mlflow.parentRunId": "parent-id",
        "hpo.study_uid": UID,
        "hpo.kind": "trial",
        "optuna.study": "fake-demo",
        "optuna.trial": "4",
        "optuna.state": "COMPLETE",
        "hpo.dashboard": "http://127.0.0.1:8080/dashboard/studies/7/trials?numbers=4",
        "hpo.attempt": "1",
        "hpo.origin": "4",
        "hpo.seed": "99",
        "hpo.threads": "2",
        "hpo.runner": "process",
        "hpo.device": "cpu",
    }


def test_what_a_trial_took() -> None:
    used = {
        "cpu_seconds": 0.8, "peak_memory_mb": 300.5, "launcher_cpu_percent": 4.0,
        "launcher_memory_mb": 500.0,
    }  # fmt: skip
    ended = trial(TrialState.PRUNED, outcome=Outcome(3, 0.5, usage=used))
    end, own = START_MS + 10_000, content(ended)
    assert named(own, "cpu_seconds") == [(0, end, 0.8)]
    assert named(own, "peak_memory_mb") == [(0, end, 300.5)]
    assert not named(own, "launcher_memory_mb")
    system = [point for point in points(study([ended])) if point[0].startswith("system/")]
    assert system == [
        ("system/launcher_cpu_percent", 4, end, 4.0),
        ("system/launcher_memory_mb", 4, end, 500.0),
        ("system/worker_cpu_percent", 4, end, 160.0),
        ("system/worker_memory_mb", 4, end, 300.5),
    ]


@pytest.mark.parametrize("state", [TrialState.PRUNED, TrialState.FAIL])
def test_only_complete_trials_have_a_best_value(state: TrialState) -> None:
    found = content(trial(state))
    assert found.status == {"PRUNED": "KILLED", "FAIL": "FAILED"}[state.name]
    assert not named(found, "best_recall_at_10")
    assert len(named(found, "recall_at_10")) == 3


def test_a_failure_says_why_and_its_traceback_keeps_the_end() -> None:
    outcome = Outcome(2, 0.2, "error", "it broke", "x" * 10_000 + "the last line")
    tags = content(trial(TrialState.FAIL, outcome=outcome)).tags
    assert (tags["hpo.cause"], tags["hpo.message"]) == ("error", "it broke")
    assert tags["hpo.traceback"].endswith("the last line")
    assert len(tags["hpo.traceback"]) == MAX_VALUE


def test_why_a_trial_was_pruned_and_whom_it_repeats() -> None:
    outcome = Outcome(1, 0.1, "time-limit", "it took too long", same_as=3)
    tags = content(trial(TrialState.PRUNED, outcome=outcome)).tags
    assert (tags["hpo.cause"], tags["hpo.message"]) == ("time-limit", "it took too long")
    assert tags["hpo.same_as"] == "3"
    assert "hpo.traceback" not in tags


def test_a_trial_that_waits_has_no_run_unless_it_was_parked() -> None:
    assert project_trial(view(), trial(TrialState.WAITING, datetime_start=None), "p") is None
    parked = content(trial(TrialState.WAITING))
    assert (parked.status, parked.end_ms) == ("SCHEDULED", None)


def test_params_are_withheld_until_all_are_drawn() -> None:
    drawing = trial(TrialState.RUNNING, params={"dim": 64})
    assert content(drawing).params == {}


def test_a_running_trial_shows_what_has_a_time() -> None:
    found = content(trial(TrialState.RUNNING, 3, lost=2))
    for name in ("mrr", "recall_at_10"):
        assert [step for step, *_ in named(found, name)] == [1, 2, 3]


def test_lost_epochs_go_on_at_the_pace_of_the_known_ones() -> None:
    found = named(content(trial(TrialState.FAIL, 3, lost=2)), "recall_at_10")
    assert [(step, time - START_MS) for step, time, _ in found] == [
        (1, 100), (2, 200), (3, 300), (4, 400), (5, 500),
    ]  # fmt: skip
    assert found[-1][2] == result(4, 5).metrics.recall_at_10


def test_lost_epochs_alone_divide_the_life_of_the_trial() -> None:
    found = named(content(trial(TrialState.FAIL, 0, lost=4, end_s=8)), "recall_at_10")
    assert [(step, time - START_MS) for step, time, _ in found] == [
        (1, 2000), (2, 4000), (3, 6000), (4, 8000),
    ]  # fmt: skip


def test_a_value_at_step_0_alone_has_the_start_of_its_trial() -> None:
    outside = trial(TrialState.FAIL, 0, intermediate_values={0: 0.1})
    assert named(content(outside), "recall_at_10") == [(0, START_MS, 0.1)]


def test_lost_epochs_never_come_after_the_end() -> None:
    found = named(content(trial(TrialState.FAIL, 3, lost=2, end_s=0.35)), "recall_at_10")
    assert [time - START_MS for _, time, _ in found][-2:] == [350, 350]


def test_a_run_grows_with_its_trial() -> None:
    stages = [
        trial(TrialState.RUNNING, 0, params={}),
        trial(TrialState.RUNNING, 0),
        trial(TrialState.RUNNING, 2),
        trial(TrialState.WAITING, 2),
        trial(TrialState.COMPLETE, 5),
    ]
    marks = [Mark.of(content(stage)) for stage in stages]
    for early, mark in enumerate(marks):
        for late in stages[early:]:
            assert mark.is_part_of(content(late))
        assert Mark.parse(str(mark)) == mark
    assert not marks[-1].is_part_of(content(stages[2]))


def test_other_times_or_params_are_another_run() -> None:
    mark = Mark.of(content(trial(TrialState.RUNNING, 2)))
    again = trial(TrialState.RUNNING, 3)
    again.user_attrs[EPOCHS]["time_ms"][0] += 1
    assert not mark.is_part_of(content(again))
    assert not mark.is_part_of(
        content(trial(TrialState.RUNNING, 3, params={"dim": 65, "lr": 0.002}))
    )


def test_marks_of_others_are_no_marks() -> None:
    assert [Mark.parse(text) for text in (None, "", "1:2", "x:1:2:3")] == [None] * 4


def study(trials: list[FrozenTrial], n_trials: int = 50, **config: Any) -> Content:
    found = project_study(view(n_trials, **config), trials)
    assert found is not None
    return found


def test_a_study_starts_with_its_first_trial() -> None:
    assert project_study(view(), []) is None
    assert project_study(view(), [trial(TrialState.WAITING, datetime_start=None)]) is None


def test_the_study_holds_counts_the_best_so_far_and_baselines() -> None:
    trials = [
        trial(TrialState.COMPLETE, number=0, end_s=10),
        trial(TrialState.COMPLETE, number=3, end_s=20),
        trial(TrialState.PRUNED, number=1, end_s=30),
        trial(TrialState.COMPLETE, number=2, end_s=40),
        trial(TrialState.FAIL, number=4, end_s=50),
    ]
    found = study(trials, n_trials=4)
    second = START_MS + 20_000
    assert named(found, "best_recall_at_10") == [
        (0, START_MS + 10_000, pytest.approx(0.00003)),
        (3, second, pytest.approx(0.00303)),
        (3, START_MS + 40_000, pytest.approx(0.00303)),  # trial 2 came after trial 3
    ]
    assert [value for *_, value in named(found, "n_complete")] == [1, 2, 3]
    assert named(found, "n_pruned") == [(3, START_MS + 30_000, 1)]
    assert named(found, "n_failed") == [(4, START_MS + 50_000, 1)]
    assert named(found, "popularity_recall_at_10") == [(0, START_MS, pytest.approx(0.1))]
    assert (found.status, found.end_ms) == ("FINISHED", START_MS + 50_000)
    assert found.tags["hpo.best_trial"] == "3"
    assert found.tags["env.torch"] == "2.13.0"


def test_the_params_of_a_study() -> None:
    params = study([trial(TrialState.RUNNING)]).params
    assert params["data"] == "demo"
    assert params["n_items"] == "20"
    assert (params["seed"], params["base.epochs"]) == ("0", "40")
    assert params["space.lr"] == "0.001..0.01 log"
    assert params["space.dim"] == "16..128"


def test_how_a_study_is_run_may_change_so_it_is_in_tags() -> None:
    found = study(
        [trial(TrialState.RUNNING)],
        n_trials=7,
        workers=2,
        constraints={"model_mb": 50},
        warm_starts=[{"dim": 32}],
    )
    assert found.tags["hpo.sampler"] == "tpe startup=10 multivariate=0"
    assert found.tags["hpo.pruner"] == "percentile startup=5 warmup=15 keep=75"
    assert (found.tags["hpo.n_trials"], found.tags["hpo.workers"]) == ("7", "2")
    assert "hpo.timeout" not in found.tags
    assert found.tags["hpo.constraints.model_mb"] == "50.0"
    assert found.tags["hpo.promotion.must_beat"] == "champion, itemknn"
    assert found.tags["hpo.warm_starts"] == '[{"dim": 32.0}]'
    assert not {"sampler", "pruner"} & set(found.params)


def test_a_long_name_and_text_are_cut_to_what_mlflow_takes() -> None:
    """The name of a stored study, or of its file, may be longer than a new one's."""
    long = view(name="n" * 300, description="d" * 9000)
    found = project_study(replace(long, name="n" * 300), [trial(TrialState.RUNNING)])
    assert found
    assert found.name == "n" * 250
    assert len(found.description) < 8000
    assert found.description.startswith("[Study nnn")
    assert found.description.endswith("dd...")
    assert found.tags["optuna.study"] == "n" * 300
    assert study([trial(TrialState.RUNNING)], description="as it is").description.endswith(
        "\nas it is"
    )


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([TrialState.COMPLETE, TrialState.RUNNING], "RUNNING"),
        ([TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING], "RUNNING"),
        ([TrialState.COMPLETE, TrialState.FAIL], "SCHEDULED"),
        ([TrialState.COMPLETE, TrialState.WAITING], "SCHEDULED"),
        ([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL], "FINISHED"),
    ],
)
def test_the_status_of_a_study_of_two_trials(states: list[TrialState], status: str) -> None:
    trials = [trial(state, number=number) for number, state in enumerate(states)]
    assert study(trials, n_trials=2).status == status

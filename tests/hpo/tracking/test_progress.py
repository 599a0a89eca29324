"""The progress of a study: a row after each end, in the recorded order of the ends."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.study.records import OUTCOME, Outcome, StudyRecord, best_complete, comparable
from hpo.tracking.run_content import Content, Row
from hpo.tracking.run_marks import Mark, is_former
from hpo.tracking.study_projection import project_study
from hpo.tracking.trial_projection import StudyView
from tests.support.fake_study import START, fake_record

START_MS = round(START.timestamp() * 1000)
BEST = "best_recall_at_10"
STATES = (TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def ended(
    number: int,
    end_ms: int,
    order: int | None = None,
    *,
    value: float = 0.1,
    state: TrialState = TrialState.COMPLETE,
) -> FrozenTrial:
    """A trial that ended so long after the study's start; order: None if it was not recorded."""
    outcome = Outcome(1, 0.5, order=order).as_dict()
    made = create_trial(
        state=state,
        value=None if state is TrialState.FAIL else value,
        user_attrs={} if order is None else {OUTCOME: outcome},
    )
    made.number, made.datetime_start = number, START
    made.datetime_complete = START + timedelta(milliseconds=end_ms)
    return made


def projected(trials: Sequence[FrozenTrial], record: StudyRecord | None = None) -> Content:
    found = project_study(StudyView("fake-demo", 7, record or fake_record("fake-demo", 50)), trials)
    assert found is not None
    return found


def progress(found: Content) -> list[Row]:
    """The rows without those of the baselines."""
    return [row for row in found.rows if "elapsed_seconds" in row.names]


def step_back() -> list[FrozenTrial]:
    """Three trials; the clock goes back by four seconds after the second."""
    return [ended(0, 5_000, 0), ended(2, 6_000, 1), ended(1, 2_000, 2)]


def test_after_a_clock_that_steps_back_rows_are_only_added() -> None:
    trials = step_back()
    marks = [Mark.of(projected(trials[:n])) for n in (1, 2, 3)]
    whole = projected(trials)
    assert all(mark.is_part_of(whole) for mark in marks)
    shown = [(row.step, row.time_ms - START_MS, row.values[1]) for row in progress(whole)]
    assert shown == [(0, 5_000, 5), (2, 6_000, 6), (2, 6_000, 6)]


def test_a_run_that_older_versions_wrote_by_the_clock_stays_as_it_is() -> None:
    before, today = projected(step_back()).as_before(), projected(step_back())
    times = [row.time_ms - START_MS for row in progress(before)]
    assert times == [2_000, 5_000, 6_000]
    assert is_former(Mark.of(before), today)
    longer = projected([*step_back(), ended(3, 7_000, 3)])
    assert is_former(Mark.of(before), longer)
    assert not projected([*step_back()[:2], ended(1, 6_500, 2)]).former


def test_trials_without_a_place_fill_those_that_are_left() -> None:
    old = [ended(0, 1_000), ended(1, 2_000)]
    outside, own = ended(4, 3_500), [ended(2, 3_000, 2), ended(3, 2_500, 4), ended(5, 2_600, 5)]
    rows = progress(projected([*old, *own, outside]))
    assert [row.step for row in rows] == [0, 1, 2, 4, 4, 5]
    assert [row.time_ms - START_MS for row in rows] == [1_000, 2_000, 3_000, 3_500, 3_500, 3_500]


def random_study(seed: int) -> tuple[StudyRecord, list[FrozenTrial]]:
    """Trials with many equal values, and changes of data and of constraints between them."""
    draw = random.Random(seed)
    n = draw.randint(1, 40)
    trials = [
        ended(number, draw.randint(0, 30_000), value=draw.randint(0, 9) / 10, state=state)
        for number, state in enumerate(draw.choices(STATES, k=n))
    ]
    numbers = [trial.number for trial in trials if trial.state is TrialState.COMPLETE]

    def some() -> list[int]:
        return [number for number in numbers if draw.random() < 0.2]

    changes: list[dict[str, Any]] = [
        {"trial": first, "other_data": draw.random() < 0.4, "what": []}
        | ({"infeasible": some()} if draw.random() < 0.8 else {})
        for first in sorted(draw.choices(range(n + 1), k=draw.randint(0, 4)))
    ]
    record = fake_record("fake-demo", 50)
    return replace(record, changes=tuple(changes), infeasible=tuple(some())), trials


def by_brute_force(record: StudyRecord, trials: Sequence[FrozenTrial]) -> Iterator[float | None]:
    """The best value after each end, from a search among all that ended before."""
    complete: list[FrozenTrial] = []
    for trial in sorted(trials, key=lambda each: (each.datetime_complete, each.number)):
        if trial.state is not TrialState.COMPLETE:
            yield None
            continue
        complete.append(trial)
        note = next((note for note in record.changes if trial.number < note["trial"]), None)
        if note is None:
            rivals = comparable(record, complete)
        else:
            first, out = record.comparable_from, note.get("infeasible", ())
            is_before = trial.number < first
            rivals = [each for each in complete if (each.number < first) == is_before]
            rivals = [each for each in rivals if each.number not in out]
        best = best_complete(rivals)
        yield best.value if best else None


@pytest.mark.parametrize("seed", range(200))
def test_the_best_so_far_is_that_of_a_search_among_all(seed: int) -> None:
    record, trials = random_study(seed)
    rows = progress(projected(trials, record))
    shown = [dict(zip(row.names, row.values, strict=True)).get(BEST) for row in rows]
    assert shown == list(by_brute_force(record, trials))


def test_a_long_study_costs_each_trial_a_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = [ended(number, 10 * number, value=0.1) for number in range(300)]
    looks = 0
    value = FrozenTrial.value

    def counted(trial: FrozenTrial) -> float | None:
        nonlocal looks
        looks += 1
        found: float | None = value.fget(trial)  # type: ignore[attr-defined]
        return found

    monkeypatch.setattr(FrozenTrial, "value", property(counted))
    assert len(progress(projected(trials))) == 300
    assert looks < 10 * 300

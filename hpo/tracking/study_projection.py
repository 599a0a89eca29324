"""Projection of a study to the content of its run in MLflow, as pure functions."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from hpo.config import MAX_NAME, Parameter, StudyConfig
from hpo.study import (
    Outcome,
    StudyRecord,
    best_complete,
    comparable,
    end_ms,
    first_start_ms,
    system_metrics,
)
from hpo.tracking.run_content import Content, DataInput, Row
from hpo.tracking.trial_projection import MAX_NOTE, StudyView, best_name, cut
from recsys.messages import count

COUNTERS = {
    TrialState.COMPLETE: "n_complete",
    TrialState.PRUNED: "n_pruned",
    TrialState.FAIL: "n_failed",
}
MAX_DIGEST = 36  # characters that MLflow takes


def project_study(view: StudyView, trials: Sequence[FrozenTrial]) -> Content | None:
    """Return the content of the study's run; None before the first trial starts.

    The start of the first trial is the start of the study.

    Args:
        view: the study.
        trials: all trials of the study.
    """
    starts = [start for trial in trials if (start := first_start_ms(trial)) is not None]
    if not starts:
        return None
    by_clock = sorted((trial for trial in trials if trial.state.is_finished()), key=_by_end)
    ended, baselines = _as_recorded(by_clock), list(_baseline_rows(view.record, min(starts)))
    progress = _progress_rows(view.record, ended, min(starts))
    former = () if ended == by_clock else _progress_rows(view.record, by_clock, min(starts))
    status = _study_status(view.record.config, trials)
    return Content(
        trial=None,
        name=view.name[:MAX_NAME],  # stored studies and file names may be longer
        start_ms=min(starts),
        status=status,
        end_ms=_by_end(by_clock[-1])[0] if status == "FINISHED" else None,
        params=_study_params(view.record),
        rows=[*baselines, *progress],
        former=[*baselines, *former] if former else (),
        tags=_study_tags(view, ended),
        description=cut(_note(view), MAX_NOTE),
        data=_data(view.record),
        files=view.kept.get(None, ()),
    )


def _note(view: StudyView) -> str:
    link = f"[Study {view.name} in optuna-dashboard]({view.dashboard()})"
    return f"{link}\n\n{view.record.config.description}".rstrip()


def _data(record: StudyRecord) -> DataInput:
    """Return the study's data, with one digest of data and split together.

    Studies with the same digest can be compared.
    """
    source = record.config.data.source
    return DataInput(
        record.data_name,
        record.split_fingerprint[:MAX_DIGEST],
        "local" if Path(source).is_absolute() else "code",
        json.dumps({"uri": source}),
        json.dumps(dict(record.counts)),
    )


def study_line(record: StudyRecord, trials: Sequence[FrozenTrial]) -> str:
    """Return a line on the progress of a study and its best trial.

    Args:
        record: the study's record.
        trials: all trials of the study.
    """
    n = sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
    best, objective = best_complete(comparable(record, trials)), record.config.objective
    found = f", best: trial {best.number} with {objective} {best.value:.4f}" if best else ""
    return f"{n} of {count(record.config.n_trials, 'trial')} finished{found}"


def _by_end(trial: FrozenTrial) -> tuple[int, int]:
    ended = end_ms(trial)
    assert ended is not None, f"trial {trial.number} ended, but when?"
    return ended, trial.number


def _as_recorded(by_clock: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return ended trials in the recorded order of their ends, to which news are only added.

    The clock may step back between two ends. Trials without a recorded place, from old versions or
    other programs, fill the places that are left.

    Args:
        by_clock: the ended trials, in the order of the clock.
    """
    outcomes = {trial.number: Outcome.of(trial) for trial in by_clock}
    places = {n: found.order for n, found in outcomes.items() if found and found.order is not None}
    placed = [trial for trial in by_clock if trial.number in places]
    others = deque(trial for trial in by_clock if trial.number not in places)
    ended: list[FrozenTrial] = []
    for trial in sorted(placed, key=lambda trial: places[trial.number]):
        while others and len(ended) < places[trial.number]:
            ended.append(others.popleft())
        ended.append(trial)
    return [*ended, *others]


def _study_status(config: StudyConfig, trials: Sequence[FrozenTrial]) -> str:
    """Return the status of the study's run; SCHEDULED: interrupted, to be continued."""
    states = [trial.state for trial in trials]
    if TrialState.RUNNING in states:
        return "RUNNING"
    n_finished = states.count(TrialState.COMPLETE) + states.count(TrialState.PRUNED)
    return "FINISHED" if n_finished >= config.n_trials else "SCHEDULED"


def _baseline_rows(record: StudyRecord, time_ms: int) -> Iterator[Row]:
    for baseline, metrics in record.baselines.items():
        values = {f"{baseline}_{name}": value for name, value in metrics.items()}
        yield Row.of(0, time_ms, **values)


def _progress_rows(
    record: StudyRecord, ended: Sequence[FrozenTrial], start_ms: int
) -> Iterator[Row]:
    """Yield a row after each trial's end: counts by state, best value so far, time, resources.

    After other data was accepted, the best value starts again. After constraints were tightened,
    the best value goes on without the trials that break them. Times never go back.

    The step is the highest number among the trials ended so far, not the trial's own number: MLflow
    shows the value of the highest step, and with several workers the last trial to end does not
    always have the highest number.
    """
    counts = dict.fromkeys(COUNTERS, 0)
    step, time_ms, leaders = 0, 0, _Leaders(record)
    for trial in ended:
        ended_ms, number = _by_end(trial)
        step, time_ms = max(step, number), max(time_ms, ended_ms)
        counts[trial.state] += 1
        values: dict[str, float] = {COUNTERS[trial.state]: counts[trial.state]}
        values["elapsed_seconds"] = (time_ms - start_ms) / 1000
        if trial.state == TrialState.COMPLETE:
            leaders.add(trial)
            if best := leaders.when_ended(trial):
                assert best.value is not None, f"trial {best.number} is complete without a value"
                values[best_name(record.config.objective)] = best.value
        if outcome := Outcome.of(trial):
            values |= system_metrics(outcome.usage, outcome.seconds)
        yield Row.of(step, time_ms, **values)


class _Leaders:
    """The best of the COMPLETE trials so far, from each view that the study has had of them.

    A view is that of a time between two accepted changes: trials on other data do not count in it,
    nor those that broke the constraints then.

    Args:
        record: the study's record.
    """

    def __init__(self, record: StudyRecord) -> None:
        self._ends = [note["trial"] for note in record.changes]
        self._out = [frozenset(note.get("infeasible", ())) for note in record.changes]
        self._out.append(frozenset(record.infeasible))
        self._first = record.comparable_from
        self._best: dict[tuple[int, bool], FrozenTrial] = {}

    def add(self, trial: FrozenTrial) -> None:
        """Compare a trial with the best ones; in one step per change, for studies of thousands."""
        for time, out in enumerate(self._out):
            if trial.number not in out:
                view = time, trial.number < self._first
                rivals = [trial, self._best[view]] if view in self._best else [trial]
                self._best[view] = best_complete(rivals) or trial

    def when_ended(self, trial: FrozenTrial) -> FrozenTrial | None:
        """Return the best of the trials that this one was compared with, itself included."""
        number = trial.number
        time = next((n for n, end in enumerate(self._ends) if number < end), len(self._ends))
        return self._best.get((time, number < self._first))


def _study_params(record: StudyRecord) -> dict[str, str]:
    """Return the settings of a study that never change, as MLflow's params.

    Settings that may change are in its tags. Hyperparameters that are newer than the study are left
    out, as in `hpo.tracking.trial_projection`.
    """
    config = record.config
    values: dict[str, object] = {"data": record.data_name, **record.counts}
    values |= {f"split.{name}": value for name, value in config.split}
    values |= {"split.fingerprint": record.split_fingerprint, "seed": config.seed}
    if config.trainable:  # absent for the two-tower, since a new param would replace all older runs
        values["trainable"] = config.trainable
    base = config.train_config.as_dict()
    values |= {f"base.{name}": base[name] for name in base if name in config.base}
    values |= {f"space.{name}": _range(parameter) for name, parameter in config.space.items()}
    return {name: cut(str(value)) for name, value in values.items()}


def _range(parameter: Parameter) -> str:
    when = f" when {json.dumps(parameter.model_dump()['when'])}" if parameter.when else ""
    if parameter.choices is not None:
        return ", ".join(f"{choice:g}" for choice in parameter.choices) + when
    scale = " log" if parameter.log else f" step {parameter.step:g}" if parameter.step else ""
    return f"{parameter.low:g}..{parameter.high:g}{scale}{when}"


def _study_tags(view: StudyView, ended: Sequence[FrozenTrial]) -> dict[str, str]:
    config = view.record.config
    tags = {**config.tags, **_conduct(config), "hpo.dashboard": view.dashboard()}
    tags["hpo.objective"] = config.objective  # a new param would replace all older runs
    tags |= {f"env.{name}": value for name, value in view.record.environment.items()}
    if best := best_complete(comparable(view.record, ended)):
        tags["hpo.best_trial"] = str(best.number)
    return view.identity("study") | {name: cut(value) for name, value in tags.items() if value}


def _conduct(config: StudyConfig) -> dict[str, str]:
    """Return the settings that may change when a study is continued, as tags."""
    tags = {}
    for part in ("sampler", "pruner"):
        settings = getattr(config, part)
        options = "".join(f" {name}={value:g}" for name, value in settings.options.items())
        tags[f"hpo.{part}"] = f"{settings.name}{options}"
    for part in ("constraints", "retries", "promotion"):
        values = getattr(config, part).model_dump(exclude_none=True)
        tags |= {f"hpo.{part}.{name}": _joined_text(value) for name, value in values.items()}
    for name in ("n_trials", "workers", "threads", "device_slots", "timeout", "trial_seconds"):
        value = getattr(config, name)
        tags[f"hpo.{name}"] = "" if value is None else _joined_text(value)
    if config.warm_starts:
        tags["hpo.warm_starts"] = json.dumps(config.warm_starts)
    return tags


def _joined_text(value: object) -> str:
    if isinstance(value, dict):  # the limit of a metric
        return ", ".join(f"{name} {part:g}" for name, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else f"{value}"

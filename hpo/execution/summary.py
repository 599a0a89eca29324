"""Text before and after the trials of a study: heading, result tables and next commands."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from optuna import Study
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table

from hpo.config import PROMOTING, Locations, SearchSpace, command, next_lines
from hpo.execution.request import SAME_CALL
from hpo.execution.running_trial import RunEnd
from hpo.search import why_out
from hpo.study import Attempt, Outcome, StudyRecord, best_metrics, comparable
from hpo.tracking import dashboard_path, experiments_address, mlflow_base
from recsys.artifacts import is_server
from recsys.errors import TrackingError
from recsys.messages import count
from recsys.passwords import without_password

if TYPE_CHECKING:
    from hpo.reporting import Hint

SHOWN_TRIALS = 5
DEFAULTS = " (defaults)"  # mark of the trial that has them
UNLIMITED = 10_000  # characters, to measure how wide a table would like to be


def heading(
    record: StudyRecord, n_trials: int, n_finished: int, locations: Locations, *, timed: bool = True
) -> str:
    """Return the lines on data, features, the study's progress and its accepted changes.

    Args:
        record: the study's record.
        n_trials: number of trials asked for.
        n_finished: number of finished trials.
        locations: the addresses of the study and its mirror.
        timed: False if the data has no times, and the split is random whatever its method.
    """
    counts, method = record.counts, str(record.config.split.method)
    if not timed and method != "given":
        method = "leave-one-out at random" if method == "leave-one-out" else "at random"
        method += " (no times)"
    state = f"continues after {n_finished} of " if n_finished else ""
    return (
        f"data {record.data_name}: {count(counts['n_users'], 'user')}, "
        f"{count(counts['n_items'], 'item')}; split {method}: "
        f"{counts['n_train']:,} train, {counts['n_validation']:,} validation and "
        f"{count(counts['n_test'], 'test row')}\n{_features(record)}{_model(record)}"
        f"study {record.config.name}: {state}{count(n_trials, 'trial')}, in "
        f"{without_password(locations.storage)}"
        f"{_change_lines(record)}"
    )


def _change_lines(record: StudyRecord) -> str:
    """Return a line on each change that was accepted with --accept-changes."""
    return "".join(
        f"\nchanged before trial {note['trial']}: {'; '.join(note['what'])}"
        for note in record.changes
    )


def _features(record: StudyRecord) -> str:
    """Return a line on the features of items and users, if there are any."""
    data = record.config.data
    sides = (("items", data.item_features), ("users", data.user_features))
    return "".join(f"features of {side}: {', '.join(names)}\n" for side, names in sides if names)


def _model(record: StudyRecord) -> str:
    """Return a line on the model, unless it is the two-tower."""
    trainable = record.config.trainable
    return f"model {trainable}\n" if trainable else ""


def result_tables(study: Study, record: StudyRecord, console: Console) -> list[Table]:
    """Return the final table with all hyperparameters, or with them below if it is too wide.

    Args:
        study: the study.
        record: the study's record.
        console: the console of the output, which sets the width.
    """
    whole = trial_table(study, record, tuple(record.config.space))
    unlimited = console.options.update(max_width=UNLIMITED)
    if console.measure(whole, options=unlimited).maximum <= console.width:
        return [whole]
    return [trial_table(study, record), _parameters(study, record)]


def trial_table(study: Study, record: StudyRecord, names: Sequence[str] = ()) -> Table:
    """Return the best trials, trial 0 (the defaults) and the baselines, on validation.

    Args:
        study: the study.
        record: the study's record.
        names: hyperparameters to show in columns.
    """
    objective = record.config.objective
    result = Table(title=f"study {study.study_name}: {objective} on validation")
    for heading_ in ("trial", objective, "best epoch", "seconds", *names):
        result.add_column(heading_, justify="right", no_wrap=True)
    best, default = _shown_trials(study, record)
    for trial in best:
        mark = DEFAULTS if trial is default else ""
        result.add_row(*_row(trial, names, mark), style="bold" if trial is best[0] else None)
    if default is not None and default not in best:
        result.add_section()
        result.add_row(*_row(default, names, DEFAULTS))
    result.add_section()
    for baseline, metrics in record.baselines.items():
        result.add_row(baseline, f"{metrics[objective]:.4f}", *[""] * (2 + len(names)))
    return result


def _shown_trials(
    study: Study, record: StudyRecord
) -> tuple[list[FrozenTrial], FrozenTrial | None]:
    """Return the best trials, and the trial of the defaults, which may be one of them."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    ranked = sorted(
        comparable(record, complete), key=lambda trial: (-_value_or_lowest(trial), trial.number)
    )
    best, space = ranked[:SHOWN_TRIALS], SearchSpace(record.config)
    ours = (trial for trial in ranked if Attempt.of(trial))
    default = next((trial for trial in ours if space.is_default(trial.params)), None)
    return best, default


def _parameters(study: Study, record: StudyRecord) -> Table:
    """Return each shown trial with its hyperparameters; lines break only between parameters."""
    result = Table.grid(padding=(0, 2, 0, 0))
    result.add_column(no_wrap=True)
    result.add_column()
    best, default = _shown_trials(study, record)
    for trial in [*best, *([default] if default and default not in best else [])]:
        params = " ".join(f"{name}={value:.4g}" for name, value in trial.params.items())
        result.add_row(f"trial {trial.number}", params)
    return result


def where(study: Study, locations: Locations, *, tracking: bool) -> str:
    """Return a line on the command and the pages that show the study.

    Args:
        study: the study.
        locations: the addresses of the study and its mirror.
        tracking: True if the study is mirrored into MLflow.
    """
    pages = [f"{locations.dashboard_url}{dashboard_path(study._study_id)}"]
    pages += [experiments_address(mlflow_base(locations))] if tracking else []
    return f"{command('dashboard', study.study_name, locations)}  shows it at {' and '.join(pages)}"


def _row(trial: FrozenTrial, names: Sequence[str], mark: str = "") -> list[str]:
    """Return the cells of a trial's row."""
    outcome = Outcome.of(trial)
    epoch, seconds = (outcome.best_epoch, outcome.seconds) if outcome else (0, 0.0)
    params = [f"{trial.params[name]:.4g}" if name in trial.params else "" for name in names]
    return [
        f"{trial.number}{mark}",
        f"{_value_or_lowest(trial):.4f}",
        str(epoch),
        f"{seconds:.1f}",
        *params,
    ]


def _value_or_lowest(trial: FrozenTrial) -> float:
    """Return the trial's value; minus infinity if there is none."""
    return trial.value if trial.value is not None else float("-inf")


def ending(
    study: Study,
    ended: RunEnd,
    n_trials: int,
    locations: Locations,
    tracking: TrackingError | None,
    *,
    again: str = "python -m hpo.run",
    data: str = "",
    page: str | None = None,
    edges: Sequence[Hint] = (),
    reported: bool = False,
    timed: bool = True,
) -> str:
    """Return the lines on the end of a run, its failures, and the exact next commands.

    Args:
        study: the study.
        ended: the end of the run.
        n_trials: number of trials asked for.
        locations: the addresses of the study and its mirror.
        tracking: error of the MLflow mirror; None if MLflow is complete.
        again: the command that continues the study.
        data: source of the data if it differs from the study's record; else "".
        page: address of the study's trials in the MLflow UI; None: unknown.
        edges: hints on ranges whose ends the best trials press against.
        reported: True if the report of these trials is written already.
        timed: False if the data has no times, so that rows were held out at random.
    """
    trials = study.get_trials(deepcopy=False)
    states = Counter(trial.state.name.lower() for trial in trials)
    counts = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
    lines = [f"{_finished(ended.n_finished, n_trials)} ({counts})"]
    if ended.reason != "complete":
        lines[0] += f"; stopped: {ended.reason}. Run the same command again to go on."
    lines += [*_causes(trials), *_broken(StudyRecord.of(study), trials)]
    if tracking:
        sync = command("sync", study.study_name, locations)
        lines += [f"MLflow is incomplete: {tracking}", f"  {sync}"]
    if not timed:
        lines.append("held out at random: no column of times was used, see above")
    if page:
        when = "" if is_server(locations.tracking_uri) else ", while hpo.dashboard runs"
        lines.append(f"its trials in MLflow, the best first{when}: {page}")
    lines += [hint.text for hint in edges]
    nexts = {} if ended.reason == "complete" else {again: "go on"}
    options = [hint.option for hint in edges if hint.option]
    if options and again != SAME_CALL:  # which takes `settings` instead of options
        more = n_trials + -(-n_trials // 2)
        same = re.sub(r" --n-trials[ =]\S+", "", again)
        wider = f"{same} {' '.join(options)} --accept-changes --n-trials {more}"
        nexts[wider] = "search on beyond these ends"
    purposes = {"dashboard": "watch and compare"}
    if states["complete"]:
        if not reported:
            purposes["report"] = "what the study found"
        if StudyRecord.of(study).config.trainable is None:
            purposes["promote"] = PROMOTING
    nexts |= {
        command(name, study.study_name, locations, data=data): text
        for name, text in purposes.items()
    }
    return "\n".join([*lines, *next_lines(nexts)])


def _finished(n: int, n_trials: int) -> str:
    """Return the number of finished trials and of those asked for, in words."""
    if n > n_trials:
        return f"{count(n, 'trial')} finished, {n_trials} were asked for"
    return f"{n} of {count(n_trials, 'trial')} finished"


def _broken(record: StudyRecord, trials: Sequence[FrozenTrial]) -> list[str]:
    """Return a line on complete trials that cannot win, with the last one's reason."""
    out = [trial for trial in trials if trial.number in record.infeasible]
    if not out:
        return []
    last = out[-1]
    why = why_out(record.config, last, best_metrics(last))
    return [f"  {len(out)} complete, but cannot win, for instance trial {last.number}: {why}"]


def _causes(trials: Sequence[FrozenTrial]) -> list[str]:
    """Return a line for each cause of trials without a result of their own."""
    told = [(trial.state, outcome) for trial in trials if (outcome := Outcome.of(trial))]
    causes = Counter((state, outcome.cause) for state, outcome in told if outcome.cause)
    lines: list[str] = []
    for (state, cause), n in causes.most_common():
        if cause == "infeasible":
            last = next(o.message for _, o in reversed(told) if o.cause == cause)
            lines.insert(0, f"  {n} infeasible, not trained, for instance: {last}")
        else:
            # a PRUNED trial is no failure: it counts, and the sampler learns from it
            word = "pruned" if state is TrialState.PRUNED else "failed"
            lines.append(f"  {word} {n} x {cause}")
    return lines

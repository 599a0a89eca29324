"""The words around a study: what starts, what came out, what to do next."""

from __future__ import annotations

import shlex
from collections import Counter

from optuna import Study
from optuna.trial import FrozenTrial, TrialState
from rich.table import Table
from sqlalchemy.engine import make_url

from hpo.records import Attempt, Outcome, StudyRecord, best_complete, comparable
from hpo.scheduler import Ended
from hpo.settings import OBJECTIVE, Places
from hpo.tracking.links import dashboard_path, mlflow_base
from recsys.errors import TrackingError

SHOWN_TRIALS = 5
MAX_COLUMNS = 3  # more do not fit 80 characters


def heading(record: StudyRecord, n_trials: int, n_finished: int, places: Places) -> str:
    """Which data, which features if any, and how far the study is; a line each."""
    counts = record.counts
    state = f"continues after {n_finished} of {n_trials}" if n_finished else f"{n_trials}"
    return (
        f"data {record.data_name}: {counts['n_users']:,} users, {counts['n_items']:,} items; "
        f"{counts['n_train']:,} train, {counts['n_validation']:,} validation and "
        f"{counts['n_test']:,} test rows\n{_features(record)}"
        f"study {record.config.name}: {state} trials, in {_shown(places.storage)}"
        f"{_changes(record)}"
    )


def _changes(record: StudyRecord) -> str:
    return "".join(
        f"\nchanged before trial {note['trial']}: {'; '.join(note['what'])}"
        for note in record.changes
    )


def _features(record: StudyRecord) -> str:
    data = record.config.data
    sides = (("items", data.item_features), ("users", data.user_features))
    return "".join(f"features of {side}: {', '.join(names)}\n" for side, names in sides if names)


def table(study: Study, record: StudyRecord) -> Table:
    """The best trials, trial 0 (the defaults) and the baselines, on validation."""
    names = _columns(record)
    result = Table(title=f"study {study.study_name}: {OBJECTIVE} on validation")
    for heading_ in ("trial", OBJECTIVE, "best epoch", "seconds", *names):
        result.add_column(heading_, justify="right", no_wrap=True)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    ranked = sorted(comparable(record, complete), key=lambda trial: (-_value(trial), trial.number))
    for trial in ranked[:SHOWN_TRIALS]:
        result.add_row(*_row(trial, names), style="bold" if trial is ranked[0] else None)
    for trial in ranked[SHOWN_TRIALS:]:
        if (attempt := Attempt.of(trial)) and attempt.origin == 0:
            result.add_section()
            result.add_row(*_row(trial, names, " (defaults)"))
    result.add_section()
    for baseline, metrics in record.baselines.items():
        result.add_row(baseline, f"{metrics[OBJECTIVE]:.4f}", *[""] * (2 + len(names)))
    return result


def _columns(record: StudyRecord) -> list[str]:
    """The parameters, if there are few enough to stand side by side."""
    names = list(record.config.space)
    return names if len(names) <= MAX_COLUMNS else []


def best_config(study: Study, record: StudyRecord) -> str:
    """The best trial's parameters on one line, where the table has no room; else nothing."""
    best = best_complete(comparable(record, study.get_trials(deepcopy=False)))
    if best is None or _columns(record):
        return ""
    params = " ".join(f"{name}={value:.4g}" for name, value in best.params.items())
    return f"trial {best.number}: {params}\n"


def where(study: Study, places: Places, *, tracking: bool) -> str:
    """Where the study can be watched, once hpo.dashboard runs."""
    pages = [f"{places.dashboard_url}{dashboard_path(study._study_id)}"]
    pages += [mlflow_base(places)] if tracking else []
    return f"{_command('dashboard', study, places)}  shows it at {' and '.join(pages)}"


def _row(trial: FrozenTrial, names: list[str], mark: str = "") -> list[str]:
    outcome = Outcome.of(trial)
    epoch, seconds = (outcome.best_epoch, outcome.seconds) if outcome else (0, 0.0)
    params = [f"{trial.params[name]:.4g}" if name in trial.params else "" for name in names]
    return [f"{trial.number}{mark}", f"{_value(trial):.4f}", str(epoch), f"{seconds:.1f}", *params]


def _value(trial: FrozenTrial) -> float:
    return trial.value if trial.value is not None else float("-inf")


def ending(
    study: Study, ended: Ended, n_trials: int, places: Places, tracking: TrackingError | None
) -> str:
    """How it ended, what failed, and the exact next commands."""
    trials = study.get_trials(deepcopy=False)
    states = Counter(trial.state.name.lower() for trial in trials)
    counts = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
    lines = [f"{ended.n_finished} of {n_trials} trials finished ({counts})"]
    if ended.reason != "complete":
        lines[0] += f"; stopped: {ended.reason}. Run the same command again to go on."
    outcomes = [outcome for trial in trials if (outcome := Outcome.of(trial))]
    causes = Counter(outcome.cause for outcome in outcomes if outcome.cause)
    if n := causes.pop("infeasible", 0):
        last = next(o.message for o in reversed(outcomes) if o.cause == "infeasible")
        lines.append(f"  {n} infeasible, not trained, for instance: {last}")
    lines += [f"  failed {n} x {cause}" for cause, n in causes.most_common()]
    if tracking:
        lines += [f"MLflow is incomplete: {tracking}", f"  {_command('sync', study, places)}"]
    commands = {"dashboard": "watch and compare"}
    if states["complete"]:
        commands |= {"report": "what the study found", "promote": "register the winner"}
    nexts = {_command(name, study, places): purpose for name, purpose in commands.items()}
    width = max(map(len, nexts))
    lines += ["next:", *(f"  {line:{width}}  {purpose}" for line, purpose in nexts.items())]
    return "\n".join(lines)


def _command(command: str, study: Study, places: Places) -> str:
    """With exactly the options that differ from the defaults."""
    default = Places()
    options = {
        "--study-name": (study.study_name, ""),
        "--storage": (places.storage, default.storage),
        "--tracking-uri": (places.tracking_uri, default.tracking_uri),
        "--experiment-name": (places.experiment, default.experiment),
    }
    if command == "sync":  # it writes links, too
        options |= {
            "--dashboard-url": (places.dashboard_url, default.dashboard_url),
            "--mlflow-url": (places.mlflow_url or "", ""),
        }
    given = [
        f"{name} {_quoted(_shown(value))}"
        for name, (value, usual) in options.items()
        if value != usual
    ]
    return " ".join([f"python -m hpo.{command}", *given])


def _quoted(value: str) -> str:
    """Safe to paste; POSIX shells and PowerShell both take single quotes literally."""
    return shlex.quote(value)


def _shown(url: str) -> str:
    """Without the password."""
    return make_url(url).render_as_string(hide_password=True) if "://" in url else url

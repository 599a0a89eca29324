"""Comparison of two studies as tables, from the storage alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, chain

from optuna.storages import RDBStorage
from rich.table import Table
from rich.text import Text

from hpo.study import (
    StudyRecord,
    TrialRow,
    best_so_far,
    comparable,
    complete_best_first,
    default_trial,
    load_named,
    read_trials,
)
from recsys.messages import count

SHARES = (0.1, 0.25, 0.5, 1.0)  # points of comparison, as shares of the smaller study


@dataclass(frozen=True, eq=False)
class ComparedStudy:
    """One of the two studies.

    Attributes:
        name: name of the study.
        record: record of the study.
        trials: the comparable trials, see `hpo.study.records.comparable`.
        ended: the trials on the study's present data that ended, in the order of their ends. Those
            that break constraints are among them: they cost as much, and cannot win.
        best: the best trial; None if no trial is COMPLETE.
    """

    name: str
    record: StudyRecord
    trials: Sequence[TrialRow]
    ended: Sequence[TrialRow]
    best: TrialRow | None

    def n(self, state: str) -> int:
        """Return the number of trials in a state."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def finished(self) -> list[TrialRow]:
        """Return the COMPLETE and PRUNED trials, the ones that --n-trials counts, by end."""
        return [trial for trial in self.ended if trial.state != "FAIL"]

    @property
    def seconds(self) -> float:
        """Return the seconds that all trials together, failed ones included, spent in epochs."""
        return sum(trial.seconds for trial in self.ended)

    def after_trials(self, n: int) -> float:
        """Return the best value of the first n >= 1 finished trials; -inf if none may win."""
        return self._best_of(self.finished[:n])

    def after_seconds(self, seconds: float) -> float:
        """Return the best value among the trials that ended within so many seconds of training.

        Seconds of training are summed over trials, so that more workers are no advantage. The value
        is -inf if no COMPLETE trial that may win had ended by then.
        """
        spent = accumulate(trial.seconds for trial in self.ended)
        done = [t for t, total in zip(self.ended, spent, strict=True) if total <= seconds + 1e-9]
        return self._best_of(done)

    def _best_of(self, trials: Sequence[TrialRow]) -> float:
        may_win = [trial for trial in trials if trial.number not in self.record.infeasible]
        return best_so_far(may_win)[-1] if may_win else float("-inf")


def read_compared_study(storage: RDBStorage, name: str) -> ComparedStudy:
    """Read one study.

    Args:
        storage: holds the study.
        name: name of the study.

    Raises:
        StudyError: there is no such study in the storage; the message lists the existing ones.
    """
    study = load_named(storage, name, moved=True)
    record = StudyRecord.of(study)
    everything = read_trials(study)
    trials = comparable(record, everything)
    present = [trial for trial in everything if trial.number >= record.comparable_from]
    ended = sorted((trial for trial in present if trial.ended), key=_by_end)
    best = next(iter(complete_best_first(trials)), None)
    return ComparedStudy(study.study_name, record, trials, ended, best)


def _by_end(trial: TrialRow) -> tuple[datetime, int]:
    assert trial.ended is not None, f"trial {trial.number} has not ended"
    return trial.ended, trial.number


def warnings(first: ComparedStudy, second: ComparedStudy) -> list[str]:
    """Return the reasons why the numbers of two studies do not compare; [] if they do.

    Args:
        first: one study.
        second: the other study.
    """
    records, found = [side.record for side in (first, second)], []
    if records[0].split_fingerprint != records[1].split_fingerprint:
        a, b = (f"{record.data_name} {record.split_fingerprint}" for record in records)
        found.append(f"different data or splits ({a}; {b}): the values cannot be compared")
    if records[0].config.objective != records[1].config.objective:
        a, b = (record.config.objective for record in records)
        found.append(f"different objectives ({a}; {b}): the values cannot be compared")
    return found


def comparison_tables(first: ComparedStudy, second: ComparedStudy) -> Iterator[Table]:
    """Yield the tables: the studies, their best configs, and the searches at equal cost.

    Args:
        first: one study.
        second: the other study.
    """
    yield _side_by_side("studies", (first, second), _study_rows(first, second))
    yield _side_by_side("best configurations", (first, second), _configs(first, second))
    searches = list(_searches(first, second))
    if searches:
        yield _side_by_side(f"best {_objective(first, second)} so far", (first, second), searches)


def _side_by_side(
    title: str, sides: Sequence[ComparedStudy], rows: Sequence[tuple[str, str, str]]
) -> Table:
    result = Table(title=title, title_justify="left", title_style="bold")
    result.add_column("")
    for side in sides:
        result.add_column(Text(side.name), justify="right")
    for name, *values in rows:
        result.add_row(name, *map(Text, values), style="" if values[0] == values[1] else "bold")
    return result


def _study_rows(first: ComparedStudy, second: ComparedStudy) -> list[tuple[str, str, str]]:
    objective = _objective(first, second)
    facts: dict[str, Callable[[ComparedStudy], object]] = {
        "data": lambda side: side.record.data_name,
        "users, items": lambda side: _counts(side, "n_users", "n_items"),
        "train, validation rows": lambda side: _counts(side, "n_train", "n_validation"),
        "split": lambda side: side.record.config.split.method,
        "data and split": lambda side: side.record.split_fingerprint,
        "objective": lambda side: side.record.config.objective,
        f"best {objective}": lambda side: _score_of(side.best),
        "best trial": lambda side: "none" if side.best is None else side.best.number,
        f"default's {objective}": lambda side: _score_of(default_trial(side.trials)),
        "popularity": lambda side: _popularity(side.record),
        "complete": lambda side: side.n("COMPLETE"),
        "complete, cannot win": lambda side: len(side.record.infeasible),
        "pruned": lambda side: side.n("PRUNED"),
        "failed": lambda side: side.n("FAIL"),
        "seconds of training": lambda side: f"{side.seconds:,.1f}",
        "sampler, pruner": lambda side: (
            f"{side.record.config.sampler.name}, {side.record.config.pruner.name}"
        ),
        "seed": lambda side: side.record.config.seed,
        "code": lambda side: side.record.environment.get("git_commit", "unknown")[:12],
    }
    return [(name, str(fact(first)), str(fact(second))) for name, fact in facts.items()]


def _objective(first: ComparedStudy, second: ComparedStudy) -> str:
    one, other = (side.record.config.objective for side in (first, second))
    return one if one == other else "objective"


def _counts(side: ComparedStudy, *names: str) -> str:
    return ", ".join(f"{side.record.counts[name]:,}" for name in names)


def _score_of(trial: TrialRow | None) -> str:
    return "none" if trial is None else f"{trial.score:.4f}"


def _popularity(record: StudyRecord) -> str:
    found = record.baselines.get("popularity", {})
    value = found.get(record.config.objective)
    return "unknown" if value is None else f"{value:.4f}"


def _configs(first: ComparedStudy, second: ComparedStudy) -> list[tuple[str, str, str]]:
    """Return the parameters that either study searches, and all others that differ."""
    rows: list[tuple[str, str, str]] = []
    defaults = (side.record.config.train_config.as_dict() for side in (first, second))
    for name in dict.fromkeys(chain(*defaults)):
        a, b = (_setting_of(side, name) for side in (first, second))
        searched = any(name in side.record.config.space for side in (first, second))
        if name != "seed" and (searched or a != b):
            rows.append((name, a, b))
    a, b = (str(side.best.best_epoch) if side.best else "none" for side in (first, second))
    return [*rows, ("best epoch", a, b)]


def _setting_of(side: ComparedStudy, name: str) -> str:
    defaults = side.record.config.train_config.as_dict()
    if name not in defaults:
        return "-"  # another model
    if name not in side.record.config.space:
        return f"{defaults[name]:.4g} (fixed)"
    return "none" if side.best is None else side.best.shown(name)


def _searches(first: ComparedStudy, second: ComparedStudy) -> Iterator[tuple[str, str, str]]:
    """Yield the best values at equal numbers of finished trials, then at equal training time."""
    sides = (first, second)
    most = min(len(side.finished) for side in sides)
    for n in sorted({max(1, round(share * most)) for share in SHARES}) if most else []:
        a, b = (_best(side.after_trials(n)) for side in sides)
        yield f"after {count(n, 'trial')}", a, b
    seconds = min(side.seconds for side in sides)
    for share in SHARES if seconds else ():
        a, b = (_best(side.after_seconds(share * seconds)) for side in sides)
        yield f"after {_duration(share * seconds)} of training", a, b


def _duration(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds >= 10 else f"{seconds:.3g} s"


def _best(value: float) -> str:
    return "none" if value == float("-inf") else f"{value:.4f}"

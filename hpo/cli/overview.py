"""The facts about a study that `hpo list`, `hpo status` and `hpo delete` print."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from hpo.config import Locations
from hpo.execution import last_launcher
from hpo.reporting import report_folder
from hpo.study import (
    COUNTED,
    Moved,
    StudyRecord,
    artifact_folder,
    best_complete,
    comparable,
    end_ms,
    epochs_of,
    first_start_ms,
    is_owned,
    parking_place,
)
from recsys.messages import count

KILO, UNITS = 1000, ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Overview:
    """The state of a study.

    Attributes:
        name: name of the study.
        state: "moved" if it goes on in another storage, "running" if a launcher owns it, "complete"
            if it has all its trials, else "stopped".
        launcher: process and machine of the last launcher in words; "" if it is unknown.
        n_finished: number of finished trials.
        n_trials: number of trials that were asked for last.
        trials: number of trials by state, such as "complete" or "waiting".
        objective: metric that the study maximizes.
        best: highest value of the trials that may win; None: no trial is complete.
        best_trial: number of that trial.
        last: end of the last trial or epoch that the storage has, in local time; None: none.
        size: bytes of the study's report, models and snapshots; its trials lie in the database.
    """

    name: str
    state: str
    launcher: str
    n_finished: int
    n_trials: int
    trials: Mapping[str, int]
    objective: str
    best: float | None
    best_trial: int | None
    last: datetime | None
    size: int

    @classmethod
    def of(cls, study: Study, locations: Locations) -> Self:
        """Read the state of a study; nothing is written.

        Args:
            study: the study.
            locations: address of its storage.
        """
        record, trials = StudyRecord.of(study), study.get_trials(deepcopy=False)
        states = Counter(trial.state.name.lower() for trial in trials)
        n_finished = sum(states[state.name.lower()] for state in COUNTED)
        best = best_complete(comparable(record, trials))
        about = last_launcher(study)
        return cls(
            name=study.study_name,
            state=_state(study, locations, n_finished >= record.config.n_trials, states),
            launcher=f"process {about.pid} on {about.host}" if about else "",
            n_finished=n_finished,
            n_trials=record.config.n_trials,
            trials=dict(sorted(states.items())),
            objective=record.config.objective,
            best=best.value if best else None,
            best_trial=best.number if best else None,
            last=_moment(max(map(_last_ms, trials), default=0)),
            size=sum(map(_bytes, files_of(record, study.study_name, locations))),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the state as JSON-compatible values."""
        return {**asdict(self), "last": self.last and self.last.isoformat(timespec="seconds")}

    @property
    def progress(self) -> str:
        """Return the number of finished trials and the number of trials in each state, in words."""
        states = ", ".join(f"{n} {state}" for state, n in self.trials.items())
        asked = f"{self.n_finished} of {count(self.n_trials, 'trial')} finished"
        return f"{asked} ({states})" if states else asked


def _state(study: Study, locations: Locations, complete: bool, states: Counter[str]) -> str:
    """Return the state in a word."""
    if Moved.of(study):
        return "moved"
    owned = is_owned(locations.storage, study.study_name)
    if owned is None:  # a folder that is read-only for this process: believe the trials
        owned = states[TrialState.RUNNING.name.lower()] > 0
    return "running" if owned else "complete" if complete else "stopped"


def _last_ms(trial: FrozenTrial) -> int:
    """Return the last moment of a trial that the storage has, in ms since 1970; 0: none."""
    seen = [moment for moment in (first_start_ms(trial), end_ms(trial)) if moment]
    return max([*seen, *map(int, epochs_of(trial).get("time_ms", [])[-1:])], default=0)


def _moment(ms: int) -> datetime | None:
    """Return milliseconds since 1970 as local time; None for 0."""
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone() if ms else None


def files_of(record: StudyRecord, study_name: str, locations: Locations) -> list[Path]:
    """Return files and folders of a study beside its storage, as far as they exist.

    They are its report, the models and pages kept for both user interfaces, and the snapshots of
    parked trainings.

    Args:
        record: record of the study.
        study_name: name of the study.
        locations: address of its storage.
    """
    kept = artifact_folder(locations.storage)
    places = [
        report_folder(locations, study_name),
        parking_place(locations.storage, record).parent,
        kept / f".{record.uid}",  # left by a killed writer
        *sorted(kept.glob(f"{record.uid}-*")),
    ]
    return [place for place in places if place.exists()]


def _bytes(place: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = [place]
    if place.is_dir():
        files = [Path(folder, name) for folder, _, names in os.walk(place) for name in names]
    return sum(map(_file_bytes, files))


def _file_bytes(path: Path) -> int:
    """Return the bytes of a file; 0 if it is gone, since the study may run meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def size_text(size: float) -> str:
    """Return a number of bytes with a unit, such as 1.2 MB."""
    for unit in UNITS[:-1]:
        if size < KILO:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= KILO
    return f"{size:.1f} {UNITS[-1]}"

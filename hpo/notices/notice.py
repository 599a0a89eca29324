"""The message on the end of a study or on a registered model, as its receivers see it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hpo.errors import StudyStopped, TrainingFailed, WorkerDied
from hpo.study import StudyRecord
from recsys.errors import RecsysError
from recsys.messages import count

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from hpo.config import Event

MAX_TEXT = 1000  # characters; an error can list a hundred problems


@dataclass(frozen=True)
class Notice:
    """One message. docs/operations.md documents the fields for receivers.

    Attributes:
        event: the event.
        study: name of the study.
        state: "complete"; the reason of a stop; "failed"; or the role of a registered version.
        text: the whole in a sentence, for people.
        objective: metric that the study maximizes; None: unknown, because the study failed.
        n_finished: number of finished trials; None: unknown.
        n_trials: number of trials asked for; None: unknown.
        best: number, value and parameters of the best trial; None: there is none, or unknown.
        version: the registered version with its number, its role and the gate's refusal; None:
            the message is about no version.
        links: addresses of pages by name, without credentials.
        next: the command to run next.
    """

    event: Event
    study: str
    state: str
    text: str
    objective: str | None = None
    n_finished: int | None = None
    n_trials: int | None = None
    best: Mapping[str, Any] | None = None
    version: Mapping[str, Any] | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    next: str = ""

    def to_json(self) -> str:
        """Return the message as JSON, with the time of this call."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return json.dumps({**asdict(self), "time": now})


def ended_notice(
    record: StudyRecord,
    best: FrozenTrial | None,
    reason: str,
    n_finished: int,
    links: Mapping[str, str],
    next_command: str,
) -> Notice:
    """Return the message on a run that ended without an error.

    Args:
        record: the study's record.
        best: the best trial; None if no trial is complete.
        reason: the reason of the end, see `hpo.execution.running_trial.RunEnd`.
        n_finished: number of finished trials.
        links: addresses of pages by name.
        next_command: the command to run next.
    """
    config, found = record.config, None
    told = f"{n_finished} of {count(config.n_trials, 'trial')} finished"
    if best is not None:
        found = {"trial": best.number, "value": best.value, "params": dict(best.params)}
        told += f"; best {config.objective} {best.value:.4f} in trial {best.number}"
    is_done = reason == "complete"
    return Notice(
        event="finished" if is_done else "stopped",
        study=str(config.name),
        state=reason,
        text=f"study {config.name}: {told}" + ("" if is_done else f"; stopped: {reason}"),
        objective=config.objective,
        n_finished=n_finished,
        n_trials=config.n_trials,
        best=found,
        links=links,
        next=next_command,
    )


def failed_notice(study: str, error: Exception, again: str) -> Notice:
    """Return the message on a run that an error ended.

    Args:
        study: name of the study.
        error: the error; the words of an unexpected one stay out, since they may hold anything.
        again: the command that goes on with the study.
    """
    told = " ".join(_words(error).split()) or f"{type(error).__name__}; the log has the traceback"
    text = f"study {study} failed: {told}"
    return Notice("failed", study, "failed", text[:MAX_TEXT], next=again)


def _words(error: Exception) -> str:
    """Return the words of an error that this program has chosen; "" if there are none."""
    if isinstance(error, StudyStopped):
        return error.summary
    if isinstance(error, TrainingFailed | WorkerDied):  # they pass on those of another error
        return ""
    return str(error) if isinstance(error, RecsysError) else ""

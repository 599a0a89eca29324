"""The trial that a start leaves RUNNING for nobody if an outage of the storage breaks it."""

from __future__ import annotations

from collections.abc import Collection

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from hpo.study import Attempt


class BrokenStarts:
    """Finds the trial of a launcher's start that broke. Not thread-safe.

    The storage may have made or taken a trial whose number never came back. Others, such as a
    script, may have trials of their own RUNNING, which are left alone.
    """

    def __init__(self) -> None:
        self._before: Collection[int] | None = None
        self._waiting: Collection[int] = ()

    def begin(self, trials: Collection[FrozenTrial]) -> None:
        """Note what is RUNNING and WAITING before a start, unless one is broken and not mended yet.

        Args:
            trials: trials of the study.
        """
        if self._before is None:
            self._before = {t.number for t in trials if t.state is TrialState.RUNNING}
            self._waiting = {t.number for t in trials if t.state is TrialState.WAITING}

    def end(self) -> None:
        """Note that the start has ended well, or is mended."""
        self._before = None

    def left(self, study: Study, asked: Collection[int]) -> list[FrozenTrial]:
        """Return the trials that a broken start has left; [] if none is broken.

        Args:
            study: the study, read anew.
            asked: numbers of the trials that this launcher trains.
        """
        if self._before is None:
            return []
        known = {*asked, *self._before}
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [
            t
            for t in running
            if t.number not in known and (t.number in self._waiting or not _is_of_others(t))
        ]


def _is_of_others(trial: FrozenTrial) -> bool:
    """Return True if another program drew the params: hpo stores its attempt before them."""
    return bool(trial.params) and Attempt.of(trial) is None

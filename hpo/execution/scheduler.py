"""Slots, the exact budget, retries and the clean stop."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from hpo.errors import StudyStopped
from hpo.execution.failure_policy import RETRIED, Failures
from hpo.execution.ledger import Ledger
from hpo.execution.objective import Objective, Stop
from hpo.execution.progress import Progress
from hpo.execution.running_trial import Assignment, Ended
from hpo.runners import Runner
from hpo.study import Hold, Outcome, storage_failure, storage_failures

PARK_SECONDS = 5.0  # after SIGTERM; containers are killed after ten


class Parkable(Protocol):
    """What can be asked to end in order."""

    def park(self, reason: str, seconds: float = ...) -> None: ...


@contextmanager
def stop_signals(study: Parkable) -> Iterator[None]:
    """Both signals park `study` while the block runs; only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: Any) -> None:
        study.park("interrupted")

    def terminate(*_: Any) -> None:
        study.park("terminated", PARK_SECONDS)

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, interrupt),
        signal.SIGTERM: signal.signal(signal.SIGTERM, terminate),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


STRENGTH = ("timeout", "interrupted", "terminated", "failed")  # of reasons to stop
GRACE_SECONDS = 5.0  # for the epoch in which a trial's time runs out
LOCK_SECONDS = 5.0
SETTLE_SECONDS, SETTLE_POLL_SECONDS = 5.0, 0.5  # a server that restarts takes some
FOR_EVER = Hold()
POLL_SECONDS = 0.2  # so long may Ctrl-C wait on Windows, where join() cannot be interrupted


class Scheduler:
    """Runs trials on all runners until the study has `n_trials` finished ones.

    A trial starts only while finished + running < n_trials, so the number is exact whatever
    fails. The time limit and the first Ctrl-C or SIGTERM park the running trials after their epoch:
    WAITING, to go on from there when the study is continued. A second signal stops them at once,
    and so does SIGTERM after a few seconds: FAIL ("interrupted"), to start again when the study is
    continued.

    Args:
        timeout: seconds after which no new trial starts and running ones are parked. None: no
            limit.
        trial_seconds: of training after which a trial ends as bad; starting a worker and setting
            up do not count. None: no limit.
        hold: of the study's lock. It is asked every few seconds and before each trial.
    """

    def __init__(
        self,
        ledger: Ledger,
        runners: Sequence[Runner],
        progress: Progress,
        n_trials: int,
        timeout: float | None = None,
        trial_seconds: float | None = None,
        hold: Hold = FOR_EVER,
    ) -> None:
        self._ledger, self._runners, self._progress = ledger, runners, progress
        self._n_trials, self._timeout, self._trial_seconds = n_trials, timeout, trial_seconds
        self._changed = threading.Condition()
        self._running = 0
        self._live: dict[Runner, Assignment] = {}
        self._reason: str | None = None
        self._stop_mode = Stop.NO
        self._abort_at = math.inf
        self._error: BaseException | None = None
        self._failures = Failures()
        self._hold, self._lock_checked = hold, time.monotonic()

    def run(self) -> Ended:
        """Block until the study is done or stopped; nothing stays RUNNING.

        Raises:
            StudyStopped: trials keep failing in a way that more of them would not mend, the
                storage fails, the study is deleted, or it is no longer this launcher's.
        """
        deadline = time.monotonic() + (math.inf if self._timeout is None else self._timeout)
        objective = Objective(
            self._ledger, self._progress.epoch, lambda: self._stop_mode, self._trial_seconds
        )
        slots = [
            threading.Thread(target=self._slot, args=(objective, runner), name=f"slot-{i}")
            for i, runner in enumerate(self._runners)
        ]
        with stop_signals(self):
            for slot in slots:
                slot.start()
            for slot in slots:
                while slot.is_alive():
                    slot.join(POLL_SECONDS)
                    self._look_at_clock(deadline)
        self._check_lock()
        if self._error is not None:
            self._settle()
        with storage_failures(self._ledger.study):
            if self._error is not None:
                raise self._error
            n_finished = self._ledger.n_finished()
            done = n_finished >= self._n_trials
            if done:
                self._ledger.tidy()
        return Ended("complete" if done else self._reason or "complete", n_finished)

    def _settle(self) -> None:
        """Leave nothing RUNNING if the storage answers again within some seconds."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            try:
                self._ledger.fail_running(owned=self._hold.problem() is None)
                return
            except UpdateFinishedTrialError:
                continue  # another launcher, or a person, ended one between look and word
            except Exception as error:
                if storage_failure(error) is None:
                    raise
                if time.monotonic() > deadline:
                    return  # the failure itself is told; the next run recovers the trials
            time.sleep(SETTLE_POLL_SECONDS)

    def _look_at_clock(self, deadline: float) -> None:
        now = time.monotonic()
        if now > deadline and self._stop_mode is Stop.NO and self._error is None:
            self.park("timeout")
        if now > self._lock_checked + LOCK_SECONDS:
            self._lock_checked = now
            self._check_lock()
        if now > self._abort_at and self._stop_mode is not Stop.ABORT:
            self.abort(self._reason or "terminated")
        if self._trial_seconds is None:
            return
        for runner, assignment in list(self._live.items()):
            # most end by themselves, after an epoch; this one has an epoch that does not end
            began = runner.began
            if began is not None and now > began + self._trial_seconds + GRACE_SECONDS:
                assignment.overdue = True
                runner.kill()

    def _slot(self, objective: Objective, runner: Runner) -> None:
        try:
            while (assignment := self._next(runner)) is not None:
                try:
                    self._run(objective, assignment, runner)
                finally:
                    with self._changed:
                        self._running -= 1
                        self._changed.notify_all()
        except BaseException as error:
            self._error = self._error or error  # raised again by run(), in the main thread
            self.abort("failed")

    def _next(self, runner: Runner) -> Assignment | None:
        """The next trial; waits while the running ones might fill the budget."""
        with self._changed:
            while self._reason is None and self._error is None:
                n_finished = self._ledger.n_finished()
                if n_finished >= self._n_trials:
                    return None
                if n_finished + self._running < self._n_trials:
                    self._check_lock()
                    if self._error is not None:
                        return None
                    assignment = self._ledger.start(runner.name, runner.threads, runner.device)
                    self._running += 1
                    self._progress.started(assignment)
                    if assignment.notice:
                        self._progress.note(assignment.notice)
                    return assignment
                self._changed.wait()
            return None

    def _run(self, objective: Objective, assignment: Assignment, runner: Runner) -> None:
        self._live[runner] = assignment
        try:
            state, outcome = objective(assignment, runner)
        except UpdateFinishedTrialError:
            self._progress.note(f"trial {assignment.number} was ended from outside; going on")
            return
        finally:
            del self._live[runner]
        self._progress.ended(assignment, state, outcome)
        if outcome.cause is None:
            self._failures.forget_row()
        elif outcome.same_as is None:
            self._after_failure(assignment, state, outcome, runner)

    def _after_failure(
        self, assignment: Assignment, state: TrialState, outcome: Outcome, runner: Runner
    ) -> None:
        is_lost = state is TrialState.FAIL and outcome.cause in RETRIED
        if is_lost:
            self._ledger.requeue()
        if outcome.cause not in ("interrupted", "infeasible"):  # nobody's fault; a rule's
            self._failures.add(assignment.number, outcome, runner if is_lost else None)

    def _check_lock(self) -> None:
        """Stop if another launcher may own the study by now, or nobody can find it any more."""
        if self._error is not None or (problem := self._hold.problem()) is None:
            return
        with self._changed:
            if self._error is not None:  # two threads ask; parking twice would be aborting
                return
            self._error = StudyStopped(
                f"stopped: the study is no longer this launcher's ({problem}); "
                "run the same command again to go on"
            )
        self.park("failed", PARK_SECONDS)

    def _stop(self, reason: str) -> None:
        """Start no more trials. A stronger reason takes the place of a weaker one."""
        if self._reason is None or STRENGTH.index(reason) > STRENGTH.index(self._reason):
            self._reason = reason
        if self._changed.acquire(blocking=False):  # a slot that holds it looks at _reason next
            self._changed.notify_all()
            self._changed.release()

    def abort(self, reason: str) -> None:
        """Stop the running trials at once."""
        self._stop_mode = Stop.ABORT
        self._stop(reason)
        for runner in self._runners:
            runner.kill()

    def park(self, reason: str, seconds: float = math.inf) -> None:
        """Put the running trials aside, each after its epoch; the second call stops them at once.

        The time limit does not count as a call: nobody has pressed Ctrl-C yet.

        Args:
            reason: "timeout", or a stronger one, see `STRENGTH`.
            seconds: after which they are stopped at once.
        """
        if self._stop_mode is not Stop.NO and self._reason != "timeout":
            self.abort(reason)
            return
        self._stop_mode, self._abort_at = Stop.PARK, time.monotonic() + seconds
        self._stop(reason)
        for runner in self._runners:
            runner.park()
        if reason == "timeout":
            self._progress.note(
                f"the time limit of {self._timeout:g} s is reached; parking the running trials"
            )
        else:
            self._progress.note("parking the running trials; press Ctrl-C again to stop at once")

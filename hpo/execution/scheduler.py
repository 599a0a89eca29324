"""The scheduler of trials: slots, their exact number, retries; parking on Ctrl-C or at a limit."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from hpo.errors import StorageUnreachable, StudyStopped
from hpo.execution.failure_policy import RETRIED, Failures
from hpo.execution.ledger import Ledger
from hpo.execution.objective import Objective, Stop
from hpo.execution.progress import Progress
from hpo.execution.running_trial import Assignment, RunEnd
from hpo.execution.stopping.stop_signals import PARK_SECONDS, stop_signals
from hpo.execution.store.storage_retries import StorageRetries, no_longer_ours
from hpo.runners import Runner
from hpo.study import Outcome, StudyLock, storage_failure, translated_storage_errors

# reasons to stop, weakest first
STRENGTH = ("timeout", "requested", "interrupted", "terminated", "failed")
GRACE_SECONDS = 5.0  # for the epoch in which a trial's time runs out
LOCK_SECONDS = 5.0  # interval of checks of the lock
REQUEST_SECONDS = 2.0  # interval of checks for `hpo stop`
SETTLE_SECONDS, SETTLE_POLL_SECONDS = 5.0, 0.5  # time for a server to restart
NEVER_LOST = StudyLock()
POLL_SECONDS = 0.2  # longest delay of Ctrl-C on Windows, where a wait cannot be interrupted


class _Slot(threading.Thread):
    """A thread whose end can be waited for under KeyboardInterrupt.

    `Thread.join` cannot: interrupted, it takes a living thread for ended (Python before 3.13).

    Args:
        work: runs the trials of the slot.
        arguments: arguments of `work`.

    Attributes:
        ended: set when `work` has returned.
    """

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        super().__init__()
        self._work, self._arguments = work, arguments
        self.ended = threading.Event()

    def run(self) -> None:
        """Call the work, and set `ended`."""
        try:
            self._work(*self._arguments)
        finally:
            self.ended.set()


class Scheduler:
    """A scheduler that runs trials on all runners until the study has `n_trials` finished ones.

    A trial starts only while finished + running < n_trials, so the number is exact despite any
    failures. The time limit and the first Ctrl-C or SIGTERM park the running trials after their
    epoch: they become WAITING and resume there when the study is continued. A second signal stops
    the trials at once, and so does the launcher some seconds after SIGTERM: they become FAIL
    ("interrupted") and start again when the study is continued.

    Args:
        ledger: the study's ledger.
        runners: a runner for each slot.
        progress: listener to the events.
        n_trials: number of trials to finish.
        timeout: seconds after which no new trial starts and running ones are parked. None: no
            limit.
        trial_seconds: seconds of training after which a trial ends as bad; the start of a worker
            and the set-up do not count. None: no limit.
        hold: the study's lock, checked every few seconds and before each trial.
        takes_signals: handle SIGINT and SIGTERM, see `hpo.execution.stopping.stop_signals`;
            False: leave their handlers alone.
    """

    def __init__(
        self,
        ledger: Ledger,
        runners: Sequence[Runner],
        progress: Progress,
        n_trials: int,
        timeout: float | None = None,
        trial_seconds: float | None = None,
        hold: StudyLock = NEVER_LOST,
        *,
        takes_signals: bool = True,
    ) -> None:
        self._ledger, self._runners, self._progress = ledger, runners, progress
        self._n_trials, self._timeout, self._trial_seconds = n_trials, timeout, trial_seconds
        self._changed = threading.Condition()
        self._running, self._over = 0, False
        self._live: dict[Runner, Assignment] = {}
        self._reason: str | None = None
        self._stop_mode = Stop.NO
        self._abort_at = math.inf
        self._error: BaseException | None = None
        self._failures = Failures()
        self._hold, self._lock_checked = hold, time.monotonic()
        self._takes_signals = takes_signals
        self._request_checked = time.monotonic()
        self._outages = StorageRetries(hold, progress.note, lambda: self._stop_mode is Stop.ABORT)
        ledger.outages = self._outages

    def run(self) -> RunEnd:
        """Block until the study is done or stopped; no trial stays RUNNING.

        A KeyboardInterrupt, which only comes where no handler was taken, parks like Ctrl-C.

        Raises:
            StudyStopped: too many trials failed, see `Failures`, the storage failed, the study was
                deleted, or this launcher lost the study's lock.
        """
        deadline = time.monotonic() + (math.inf if self._timeout is None else self._timeout)
        objective = Objective(
            self._ledger, self._progress.epoch, lambda: self._stop_mode, self._trial_seconds
        )
        slots = [_Slot(self._slot, objective, runner) for runner in self._runners]
        with stop_signals(self) if self._takes_signals else nullcontext():
            self._wait_for(slots, deadline)
        self._check_lock()
        if self._error is not None:
            self._error = self._cause(self._error)
            self._settle()
        with translated_storage_errors(self._ledger.study):
            if self._error is not None:
                raise self._error
            n_finished = self._ledger.n_finished()
            done = n_finished >= self._n_trials
            if done:
                self._ledger.tidy()
        if done:
            return RunEnd("complete", n_finished, self._reason or "")
        return RunEnd(self._reason or "complete", n_finished)

    def _cause(self, error: BaseException) -> BaseException:
        """Return the loss of the study if it explains an error of the storage; else the error."""
        if storage_failure(error) is None or isinstance(error, StudyStopped):
            return error
        try:
            problem = self._hold.problem()
        except StorageUnreachable:
            return error
        return error if problem is None else no_longer_ours(problem)

    def _settle(self) -> None:
        """Mark this launcher's RUNNING trials as FAIL if the storage answers within some seconds.

        Raises:
            Exception: an error that is not the storage's.
        """
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            try:
                self._ledger.fail_running(owned=self._hold.problem() is None)
                return
            except UpdateFinishedTrialError:
                continue  # another process ended a trial between the read and the write
            except Exception as error:
                if storage_failure(error) is None:
                    raise
                if time.monotonic() > deadline:
                    return  # run() raises the failure; the next run recovers the trials
            time.sleep(SETTLE_POLL_SECONDS)

    def _wait_for(self, slots: Sequence[_Slot], deadline: float) -> None:
        """Wait until all slots have ended, whatever happens: the lock is released afterwards."""
        while True:
            try:
                if self._attended(slots, deadline):
                    return
                self.park("interrupted")
            except KeyboardInterrupt:  # a second one, in the middle of parking
                self.abort("interrupted")
            except Exception as error:
                self._error = self._error or error  # raised again by run()
                self.abort("failed")

    def _attended(self, slots: Sequence[_Slot], deadline: float) -> bool:
        """Wait until all slots have ended, and act on the clock; return False if interrupted."""
        try:
            for slot in slots:
                if slot.ident is None and self._error is None:  # not started before an interrupt
                    slot.start()
            for slot in slots:
                while slot.ident is not None and not slot.ended.wait(POLL_SECONDS):
                    self._look_at_clock(deadline)
        except KeyboardInterrupt:
            return False
        return True

    def _look_at_clock(self, deadline: float) -> None:
        """Check all time limits and the lock, and act on them."""
        now = time.monotonic()
        if now > deadline and self._stop_mode is Stop.NO and self._error is None:
            self.park("timeout")
        if now > self._lock_checked + LOCK_SECONDS:
            self._lock_checked = now
            self._check_lock()
        if now > self._request_checked + REQUEST_SECONDS and self._stop_mode is Stop.NO:
            self._request_checked = now
            self._look_for_request()
        if now > self._abort_at and self._stop_mode is not Stop.ABORT:
            self.abort(self._reason or "terminated")
        if self._trial_seconds is not None:
            self._kill_overdue(self._trial_seconds + GRACE_SECONDS)

    def _kill_overdue(self, seconds: float) -> None:
        """Kill the trials in an endless epoch; most end by themselves after one.

        Args:
            seconds: training that a trial may take.
        """
        for runner, assignment in list(self._live.items()):
            began = runner.began
            if began is None or assignment.overdue or assignment.trained(began) <= seconds:
                continue
            if self._live.get(runner) is assignment and runner.began == began:  # no later training
                assignment.overdue = True
                runner.kill()

    def _look_for_request(self) -> None:
        """Park the study if `hpo stop` was called for it."""
        try:
            asked = self._ledger.is_asked_to_stop()
        except Exception as error:
            self._error = self._error or error  # raised again by run(), after the slots have ended
            self.abort("failed")
            return
        if asked and self._stop_mode is Stop.NO:  # Ctrl-C may have come meanwhile
            self.park("requested")

    def _slot(self, objective: Objective, runner: Runner) -> None:
        """Run trials on one runner until there are none left; the target of a slot's thread."""
        try:
            while self._is_placed(runner) and (assignment := self._next(runner)) is not None:
                try:
                    self._run(objective, assignment, runner)
                finally:
                    with self._changed:
                        self._running -= 1
        except BaseException as error:
            self._error = self._error or error  # raised again by run(), in the main thread
            self.abort("failed")

    def _is_placed(self, runner: Runner) -> bool:
        """Wait until a runner can train; return False if the study ends before that."""
        while not runner.is_ready():
            if self._over or self._reason is not None or self._error is not None:
                return False
            with self._changed:
                self._changed.notify_all()  # another slot takes what this one lost
            time.sleep(POLL_SECONDS)
        return True

    def _next(self, runner: Runner) -> Assignment | None:
        """Return the next trial, None if there is none; wait while running trials may suffice.

        A trial that ends without a result makes room for one more, for its own slot or another.
        """
        with self._changed:
            while self._reason is None and self._error is None:
                n_finished = self._ledger.n_finished()
                if n_finished >= self._n_trials:
                    break
                if n_finished + self._running < self._n_trials:
                    self._check_lock(patiently=True)
                    if self._error is not None:
                        break
                    assignment = self._ledger.start(
                        runner.name, runner.threads, runner.device, runner.processor, runner.node
                    )
                    self._running += 1
                    self._progress.started(assignment)
                    if assignment.notice:
                        self._progress.note(assignment.notice)
                    return assignment
                self._wait_for_change()
            self._over = True
            self._changed.notify_all()
            return None

    def _wait_for_change(self) -> None:
        """Wait until fewer trials run or the study ends; see also what no notice came of.

        `_stop` must not wait for the condition, so another slot that holds it costs the notice.
        """
        running = self._running
        while self._running == running and not self._over:
            if self._reason is not None or self._error is not None:
                return
            if self._changed.wait(POLL_SECONDS):
                return

    def _run(self, objective: Objective, assignment: Assignment, runner: Runner) -> None:
        """Run one trial, report its end, and handle a failure."""
        self._live[runner] = assignment
        try:
            state, outcome = objective(assignment, runner)
        except UpdateFinishedTrialError:
            self._progress.note(f"trial {assignment.number} was ended from outside; going on")
            self._progress.ended(assignment, *self._ledger.end_from_outside(assignment))
            return
        finally:
            del self._live[runner]
        self._progress.ended(assignment, state, outcome)
        if outcome.cause is None:
            self._failures.reset_consecutive()
        elif outcome.same_as is None:
            self._after_failure(assignment, state, outcome, runner)

    def _after_failure(
        self, assignment: Assignment, state: TrialState, outcome: Outcome, runner: Runner
    ) -> None:
        """Queue a lost trial again, and count the failure."""
        is_lost = state is TrialState.FAIL and outcome.cause in RETRIED
        if is_lost:
            self._ledger.requeue()
        if outcome.cause not in ("interrupted", "infeasible"):  # neither is a failure
            self._failures.add(assignment.number, outcome, runner if is_lost else None)

    def _check_lock(self, *, patiently: bool = False) -> None:
        """Stop if another launcher may own the study now, or its storage file is gone.

        Args:
            patiently: wait until the storage answers; else leave that to the next trial or epoch.
        """
        if self._error is not None:
            return
        try:
            ask = self._hold.problem
            problem = self._outages.call(ask) if patiently else ask()
        except StorageUnreachable:
            if patiently:
                raise
            return
        if problem is None:
            return
        with self._changed:
            if self._error is not None:  # another thread was first, and a second park() would abort
                return
            self._error = no_longer_ours(problem)
        self.park("failed", PARK_SECONDS)

    def _stop(self, reason: str) -> None:
        """Start no more trials; a stronger reason replaces a weaker one."""
        if self._reason is None or STRENGTH.index(reason) > STRENGTH.index(self._reason):
            self._reason = reason
        if self._changed.acquire(blocking=False):  # a slot that holds it checks _reason next
            self._changed.notify_all()
            self._changed.release()

    def abort(self, reason: str) -> None:
        """Stop the running trials at once."""
        self._stop_mode = Stop.ABORT
        self._stop(reason)
        for runner in self._runners:
            runner.kill()

    def park(self, reason: str, seconds: float = math.inf) -> None:
        """Park the running trials, each after its epoch; a second call stops them at once.

        A call for the time limit or by `hpo stop` does not count as the first one, since no signal
        has come yet.

        Args:
            reason: "timeout", or a stronger one, see `STRENGTH`.
            seconds: time until the trials are stopped at once.
        """
        if self._stop_mode is not Stop.NO and self._reason not in ("timeout", "requested"):
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
        elif reason == "requested":
            self._progress.note("hpo stop was called; parking the running trials")
        else:
            self._progress.note("parking the running trials; press Ctrl-C again to stop at once")

"""What the launcher costs: CPU of a report, and trials a second, with workers that only pretend.

    python -m benchmarks.launcher

A real SQLite study, the real ledger and scheduler; epochs come from a script, 5 ms each. Lines:
at most 2.5 ms of CPU for a report with its pruning decision, at 50 and at 500 finished trials;
200 reports a second with 4 workers; 5 trials of 30 epochs a second with 2.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import optuna
from optuna.trial import TrialState

from hpo.config.algorithms import PrunerConfig
from hpo.config.study_config import StudyConfig
from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import Assignment
from hpo.execution.scheduler import Scheduler
from hpo.study.lifecycle import open_study
from hpo.study.records import Outcome, StudyRecord, new_uid
from hpo.study.storage import open_storage
from recsys.config import TrainConfig
from recsys.evaluation.metrics import Metrics
from recsys.training.epoch import EpochResult

EPOCHS = 30
EPOCH_SECONDS = 0.005
MOST_MS, TRIALS, REPORTS = 2.5, 5.0, 200.0  # the lines


class StubRunner:
    """Epochs that cost no CPU: of a fixed length, or of one drawn for each trial.

    As a worker process, it goes on to the next epoch while the launcher stores the last one.

    Args:
        spread: epochs of a trial take EPOCH_SECONDS times a number in 1 - spread..1 + spread.

    Attributes:
        trained: when each training began, and the seconds of its epochs.
    """

    name, threads, device = "stub", 1, "cpu"
    processor = node = ""
    began: float | None = None  # its trials have no time limit

    def __init__(self, spread: float = 0.0) -> None:
        self._spread = spread
        self.trained: list[tuple[float, float]] = []

    def is_ready(self) -> bool:
        """Always."""
        return True

    def epochs(self, config: TrainConfig, snapshot: Path | None = None) -> Generator[EpochResult]:
        del snapshot
        seconds = EPOCH_SECONDS * (1 + self._spread * random.Random(config.seed).uniform(-1, 1))
        began = time.perf_counter()
        self.trained.append((began, 0.0))
        for epoch in range(1, EPOCHS + 1):
            time.sleep(max(0.0, began + epoch * seconds - time.perf_counter()))
            self.trained[-1] = (began, epoch * seconds)
            yield result(config, epoch)

    def park(self) -> None:
        """Too short to be parked."""

    def kill(self) -> None:
        """Nothing to kill."""

    def close(self) -> None:
        """Nothing to give back."""


class Silent:
    """Progress that nobody watches."""

    def started(self, assignment: Assignment) -> None: ...

    def epoch(self, assignment: Assignment, result: EpochResult) -> None: ...

    def ended(self, assignment: Assignment, state: TrialState, outcome: Outcome) -> None: ...

    def note(self, message: str) -> None: ...


def result(config: TrainConfig, epoch: int) -> EpochResult:
    """A curve that depends on the config."""
    value = config.dim / (config.dim + 100) * (1 - 0.9**epoch)
    metrics = Metrics(value, value, value, value, value, value, value, n_users=1000)
    return EpochResult(epoch, 1 / epoch, metrics, EPOCH_SECONDS)


def new_ledger(folder: Path, pruner: str, url: str | None = None, sampler: str = "tpe") -> Ledger:
    """Of an empty study with this pruner, which decides from the first epoch on."""
    options = {} if pruner == "none" else {"warmup": 1}
    config = StudyConfig.model_validate({
        "name": "stub", "n_trials": 10_000, "base": {"epochs": EPOCHS},
        "pruner": {"name": pruner, **options}, "sampler": {"name": sampler},
        "space": {"dim": {"low": 8, "high": 512, "log": True},
                  "lr": {"low": 1e-4, "high": 1e-1, "log": True}},
    })  # fmt: skip
    record = StudyRecord(new_uid(), config, "stub", "none", {}, {}, {})
    storage = open_storage(url or f"sqlite:///{(folder / 'optuna.db').as_posix()}")
    study, record = open_study(storage, "stub", record)
    return Ledger(study, record.config)


def report_cost(folder: Path) -> None:
    """CPU milliseconds of start, report and end, by finished trials."""
    ledger = new_ledger(folder, PrunerConfig().name)
    for first, last in ((0, 50), (50, 100), (450, 500), (500, 550)):
        while ledger.n_finished() < first:
            one_trial(ledger)
        costs = [one_trial(ledger) for _ in range(first, last)]
        start, report, end = (
            1000 * sum(column) / len(costs) for column in zip(*costs, strict=True)
        )
        print(f"trials {first} to {last}: start {start:.1f} ms, report {report:.2f} ms, "
              f"end {end:.1f} ms of CPU; a report: {_verdict(report <= MOST_MS, MOST_MS)}",
              flush=True)  # fmt: skip


def one_trial(ledger: Ledger) -> tuple[float, float, float]:
    """CPU seconds of its start, of one report, and of its end."""
    before = time.process_time()
    assignment = ledger.start("stub", 1)
    started = time.process_time()
    for epoch in range(1, EPOCHS + 1):
        ledger.report(assignment, result(assignment.config, epoch))
    reported = time.process_time()
    ledger.complete(assignment)
    return started - before, (reported - started) / EPOCHS, time.process_time() - reported


def _verdict(met: bool, line: float) -> str:
    return f"line {line:g} {'met' if met else 'MISSED'}"


def throughput(folder: Path, workers: int, n_trials: int = 100) -> None:
    """Trials and reports a second."""
    ledger = new_ledger(folder, "none")
    runners = [StubRunner() for _ in range(workers)]
    begin = time.perf_counter()
    Scheduler(ledger, runners, Silent(), n_trials).run()
    seconds = time.perf_counter() - begin
    trials, reports = n_trials / seconds, n_trials * EPOCHS / seconds
    met = (
        _verdict(trials >= TRIALS, TRIALS)
        if workers == 2
        else _verdict(reports >= REPORTS, REPORTS)
    )
    print(f"{workers} workers: {trials:.1f} trials a second, {reports:.0f} reports a second; {met}",
          flush=True)  # fmt: skip


def main() -> None:
    """Print all figures."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for measure in (report_cost, lambda place: throughput(place, 2), lambda p: throughput(p, 4)):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder))


if __name__ == "__main__":
    main()

"""Cost of an epoch's report in Optuna's storages, beside the launcher's own way to write to one.

    python -m benchmarks.storages [--running 16 256] [--finished 500] [--reports 256]
        [--ways owned journal]

A report is a value and an attribute of a running trial, then all trials for the pruner. Finished
trials have 30 epochs. Milliseconds a report, the median of three rounds: CPU of this process over
all its threads, and wall. The servers of `grpc` are processes of their own; their CPU is not
counted.

- rdb: SQLite through Optuna's cache, as any worker of a shared study.
- journal: `JournalStorage` on a file.
- grpc: Optuna's proxy before SQLite, and before a journal; needs `pip install grpcio`.
- owned: the launcher's storage, one epoch a transaction, and one of each running trial.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.storages import GrpcStorageProxy, JournalStorage, run_grpc_proxy_server
from optuna.storages.journal import JournalFileBackend
from optuna.trial import create_trial

from hpo.execution.store.owned_storage import EpochWrite, for_one_writer
from hpo.study.storage import open_storage
from tests.support.mlflow_server import free_port

WAYS = ("rdb", "journal", "grpc-rdb", "grpc-journal", "owned", "owned-groups")
EPOCHS, ROUNDS = 30, 3
ATTRIBUTE = "epochs"


def storage_of(kind: str, folder: Path) -> optuna.storages.BaseStorage:
    """Open the storage of a kind in a folder."""
    if kind == "journal":
        return JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    return open_storage(f"sqlite:///{(folder / 'optuna.db').as_posix()}")


def serve(kind: str, folder: Path, port: int) -> None:
    """Serve a storage by gRPC until the process is ended."""
    run_grpc_proxy_server(storage_of(kind, folder), host="127.0.0.1", port=port)


@contextmanager
def opened(name: str, folder: Path) -> Iterator[optuna.storages.BaseStorage]:
    """Open a storage by name; `grpc-KIND` is a proxy before a server of that kind."""
    if not name.startswith("grpc-"):
        yield storage_of(name, folder)
        return
    port = free_port()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(name.removeprefix("grpc-"), folder, port)
    )
    server.start()
    proxy = GrpcStorageProxy(host="127.0.0.1", port=port)
    try:
        proxy.wait_server_ready(timeout=60)
        yield proxy
    finally:
        proxy.close()
        server.terminate()
        server.join()


def new_study(
    storage: optuna.storages.BaseStorage, finished: int, running: int
) -> tuple[optuna.Study, list[int]]:
    """Make a study with finished and running trials; return it and the ids of those that run."""
    study = optuna.create_study(storage=storage, study_name="reports")
    curve = dict.fromkeys(range(1, EPOCHS + 1), 0.1)
    for number in range(finished):
        attributes = {ATTRIBUTE: [0.1] * EPOCHS, "number": number}
        study.add_trial(create_trial(value=0.1, intermediate_values=curve, user_attrs=attributes))
    return study, [study.ask()._trial_id for _ in range(running)]


def milliseconds(
    report: Callable[[int], object], n_calls: int, n_reports: int
) -> tuple[float, float]:
    """Return CPU and wall milliseconds a report.

    Args:
        report: is called with 0, 1, 2, ...
        n_calls: number of calls.
        n_reports: number of reports in all calls.
    """
    cpu, wall = time.process_time(), time.perf_counter()
    for call in range(n_calls):
        report(call)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return 1000 * cpu / n_reports, 1000 * wall / n_reports


def shared(study: optuna.Study, ids: list[int], reports: int) -> tuple[float, float]:
    """Report through a storage that others may write to as well."""
    storage, study_id = study._storage, study._study_id

    def report(call: int) -> None:
        trial_id, step = ids[call % len(ids)], 1 + call // len(ids)
        storage.set_trial_intermediate_value(trial_id, step, 0.1)
        storage.set_trial_user_attr(trial_id, ATTRIBUTE, [0.1] * step)
        storage.get_all_trials(study_id, deepcopy=False)

    return milliseconds(report, reports, reports)


def owned(study: optuna.Study, ids: list[int], reports: int, group: int) -> tuple[float, float]:
    """Report through the launcher's storage, several epochs in a transaction."""
    _, storage = for_one_writer(study)
    storage.get_all_trials(study._study_id, deepcopy=False)

    def report(call: int) -> None:
        first = call * group
        storage.write_epochs([
            EpochWrite(ids[i % len(ids)], step, 0.1, {ATTRIBUTE: [0.1] * step})
            for i in range(first, first + group)
            for step in (1 + i // len(ids),)
        ])  # fmt: skip
        for _ in range(group):
            storage.get_all_trials(study._study_id, deepcopy=False)

    n_calls = max(1, reports // group)
    return milliseconds(report, n_calls, n_calls * group)


def measure(name: str, running: int, finished: int, reports: int) -> tuple[float, float]:
    """Measure one way in an empty folder."""
    kind = "rdb" if name.startswith("owned") else name
    with tempfile.TemporaryDirectory() as place, opened(kind, Path(place)) as storage:
        study, ids = new_study(storage, finished, running)
        if name == "owned":
            return owned(study, ids, reports, 1)
        if name == "owned-groups":
            return owned(study, ids, reports, running)
        return shared(study, ids, reports)


def main() -> None:
    """Print a line for each way and number of running trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--running", type=int, nargs="+", default=[16, 256])
    parser.add_argument("--finished", type=int, default=500)
    parser.add_argument("--reports", type=int, default=256)
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for running in options.running:
        for name in options.ways:
            rounds = [
                measure(name, running, options.finished, options.reports) for _ in range(ROUNDS)
            ]
            cpu, wall = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"{running} running trials, {name}: {cpu:.2f} ms CPU, {wall:.2f} ms", flush=True)


if __name__ == "__main__":
    main()

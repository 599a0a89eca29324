"""`hpo.tune`: a study from Python, by the launcher of `python -m hpo.run`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from hpo.api.study_result import StudyResult, given_locations
from hpo.config import Locations, Override, default_name, load_study_config, study_path, toml_text
from hpo.errors import SettingsError
from hpo.trainables import reference_to

if TYPE_CHECKING:
    from hpo.config import StudyConfig
    from hpo.execution import Request, TrialEnd
    from recsys.datasets import InMemory
    from recsys.evaluation import MetricName

Runner = Literal["process", "inline", "ray"]
DATA_FOLDER = "data"  # beside the storage, for tables given in memory


def tune(
    data: str | os.PathLike[str] | InMemory | None = None,
    n_trials: int | None = None,
    study: str | os.PathLike[str] = "two_tower",
    *,
    trainable: type[Any] | str | None = None,
    objective: MetricName | None = None,
    name: str | None = None,
    settings: Mapping[str, Any] | None = None,
    workers: int | None = None,
    timeout: float | None = None,
    seed: int | None = None,
    device: str = "auto",
    runner: Runner = "process",
    ray_address: str = "auto",
    storage: str | Path | None = None,
    tracking: str | Path | bool = True,
    experiment: str | None = None,
    artifacts: str | Path | None = None,
    callbacks: Sequence[Callable[[TrialEnd], None]] = (),
    warm_start_from: str | None = None,
    accept_changes: bool = False,
    verbose: bool = True,
) -> StudyResult:
    """Start or continue a study, and return it when it has its trials.

    Engine, storage and guarantees are those of `python -m hpo.run`: the same call continues the
    study, commands find it, and `hpo.dashboard` shows it meanwhile. No signal handler is taken. A
    KeyboardInterrupt (Ctrl-C, the stop button of a notebook) parks the running trials and is raised
    when they are stored; the same call resumes them.

    Args:
        data: name of a data set, a path, or a table in memory (see `recsys.load_dataset`), which is
            stored beside the study; None: the study file's.
        n_trials: number of trials to finish; None: the study file's, by default 50.
        study: name or path of a study file, with the search space.
        trainable: a recommender of your own instead of the two-tower, as a class of an importable
            module or as "package.module:Class"; None: the study file's. See `Trainable`.
        objective: metric to maximize on validation; None: the study file's.
        name: name of the study; None: FILE-DATA.
        settings: further keys of the study file, for instance {"space.dim.high": 128}.
        workers: number of processes that train; None: one for each core, at most 8.
        timeout: seconds after which running trials are parked; None: no limit.
        seed: seed of the study.
        device: torch device, or "auto".
        runner: train in worker processes, in this one, or on a Ray cluster; a program that has
            called ray.init uses its cluster.
        ray_address: address of the Ray cluster: "auto", HOST:PORT of its head, or "local".
        storage: file of an SQLite database, or URL of a database; None: studies/optuna.db.
        tracking: True: mirror into $MLFLOW_TRACKING_URI, else sqlite:///studies/mlflow.db; a URI,
            or the Path of an SQLite database: mirror there; False: do not mirror.
        experiment: MLflow experiment; None: two-tower-hpo.
        artifacts: folder or URL of the store that also gets the study's report, best model and
            snapshots; None: $HPO_ARTIFACTS, else none.
        callbacks: functions called with each trial that ends, one at a time, in the thread of the
            trial. An exception of theirs stops the study and is raised.
        warm_start_from: name of a study whose best configs are tried first.
        accept_changes: continue a study with other data, another split, seed or ranges.
        verbose: print progress, in a notebook as one output of the cell.

    Raises:
        SettingsError: a setting is wrong; one line for every problem.
        DataError: the data cannot be read or split.
        StudyError: the study cannot be continued with these settings.
        StudyStopped: trials keep failing, or the storage or its lock is lost.
        TrackingError: the URI of MLflow cannot be used.
        KeyboardInterrupt: the study was interrupted, and is parked.
    """
    _check_arguments(data, runner, tracking, callbacks)
    uri = None if isinstance(tracking, bool) else tracking
    locations = given_locations(storage, uri, experiment, artifacts)
    source, in_memory = _source(data, locations)
    options = {
        "name": name, "data": {"source": source} if source else None, "objective": objective,
        "trainable": None if trainable is None else reference_to(trainable),
        "n_trials": n_trials, "workers": workers, "timeout": timeout, "seed": seed,
    }  # fmt: skip
    path = study_path(os.fspath(study))
    config = load_study_config(path, options, _overrides(settings or {}))
    config = config.model_copy(update={"name": default_name(path, config)})
    request = replace(
        _request(config, path.stem, locations, runner, device),
        ray_address=ray_address,
        tracking=tracking is not False,
        accept_changes=accept_changes,
        warm_start_from=warm_start_from,
        quiet=not verbose,
        callbacks=callbacks,
    )
    return _launched(request, in_memory)


def _check_arguments(data: object, runner: object, tracking: object, callbacks: Any) -> None:
    """Check what would otherwise be taken for something else, or fail after the first trial.

    Args:
        data, runner, tracking, callbacks: arguments of `tune`.

    Raises:
        SettingsError: an argument is none of those allowed; one line for every problem.
    """
    found = []
    if isinstance(data, str | os.PathLike) and not os.fspath(data).strip():
        found.append(
            f"data={data!r} is empty; give the name of a data set, a path or a table, or None for "
            "the study file's"
        )
    if runner not in get_args(Runner):
        found.append(f"runner={runner!r}: give one of {', '.join(map(repr, get_args(Runner)))}")
    if tracking is not None and not isinstance(tracking, str | Path | bool):
        found.append(
            f"tracking={tracking!r}: give True, False, None, the Path of an SQLite database, or a "
            "URI such as 'sqlite:///studies/mlflow.db'"
        )
    is_list = isinstance(callbacks, Sequence) and not isinstance(callbacks, str)
    if not is_list or not all(map(callable, callbacks)):
        found.append(f"callbacks={callbacks!r}: give a list of functions, for instance [print]")
    if found:
        raise SettingsError(found)


def _request(
    config: StudyConfig,
    file_stem: str,
    locations: Locations,
    runner: Runner,
    device: str,
) -> Request:
    """Return the request of a program, which takes no signals and writes no report."""
    from hpo.execution import SAME_CALL, Request

    return Request(
        config=config,
        file_stem=file_stem,
        locations=locations,
        runner=runner,
        devices=_devices(device, config, runner),
        tracking=True,
        report=False,
        promote=False,
        again=SAME_CALL,
        takes_signals=False,
    )


def _launched(request: Request, in_memory: Path | None) -> StudyResult:
    """Run the study of a request and return its result.

    Args:
        request: the request.
        in_memory: folder of tables given in memory; None: there are none.

    Raises:
        KeyboardInterrupt: the study was interrupted, and is parked.
    """
    from hpo.execution import launch
    from recsys.artifacts import check_tracking_uri
    from recsys.cli import INTERRUPTED
    from recsys.datasets import naming_tables, noting_arguments

    if request.tracking:
        check_tracking_uri(request.locations.tracking_uri)
    with ExitStack() as stack:
        stack.enter_context(noting_arguments(_tune_arguments))
        if in_memory:
            stack.enter_context(naming_tables(in_memory))
        code = launch(request)
    name = str(request.config.name)
    if code == INTERRUPTED:
        raise KeyboardInterrupt(f"study {name} is parked; the same call resumes it")
    return StudyResult(name, request.locations)


# Arguments of `tune` by the options of hpo.run.
ARGUMENTS = {"study-name": "name='...'", "accept-changes": "accept_changes=True"}


def _tune_arguments(named: Mapping[str, str]) -> str:
    """Return a note with the arguments of `tune` for options of hpo.run; "" without any.

    Args:
        named: the options that a message names, each with a value in Python or "...".
    """
    from recsys.cli import DATA_SETTINGS

    values = {
        "header" if name == "no-header" else name.replace("-", "_"): value
        for name, value in named.items()
    }
    keys = [f'"data.{name}": {value}' for name, value in values.items() if name in DATA_SETTINGS]
    parts = [f"settings={{{', '.join(keys)}}}"] if keys else []
    parts += [text for name, text in ARGUMENTS.items() if name in named]
    return f"in hpo.tune: {', or '.join(parts)}" if parts else ""


def _source(
    data: str | os.PathLike[str] | InMemory | None, locations: Locations
) -> tuple[str | None, Path | None]:
    """Return the source of the data for the study, and the folder of tables given in memory.

    Raises:
        SettingsError: the data is a data set that was loaded already.
    """
    if data is None or isinstance(data, str | os.PathLike):
        return None if data is None else os.fspath(data), None
    from hpo.study import folder_of_storage
    from recsys.data import Dataset, Interactions
    from recsys.datasets import write_tables

    if isinstance(data, Dataset | Interactions):
        raise SettingsError(
            f"data is a loaded {type(data).__name__}, which later commands could not read again; "
            "give hpo.tune the name, path or table that recsys.load_dataset was given"
        )
    folder = write_tables(folder_of_storage(locations.storage) / DATA_FOLDER, data)
    return str(folder), folder


def _overrides(settings: Mapping[str, Any]) -> list[Override]:
    """Return settings as overrides of a study file."""
    return [
        Override(tuple(key.split(".")), value, f"{key}={toml_text(value)}")
        for key, value in settings.items()
    ]


def _devices(device: str, config: StudyConfig, runner: str) -> list[str]:
    """Return the torch device of each worker; plain "cuda" means all GPUs of the machine.

    Raises:
        ConfigError: there is no such device here, or it does not work.
    """
    if runner == "ray":
        return [device]  # of the cluster, see `hpo.execution.engines.ray_engine`
    from hpo.runners import worker_devices
    from recsys.cli import default_device, usable_device

    found = default_device() if device == "auto" else usable_device(device)
    wanted = found.type if device in ("auto", found.type) else str(found)
    devices = worker_devices(wanted, config.workers, config.device_slots)
    return devices[:1] if runner == "inline" else devices

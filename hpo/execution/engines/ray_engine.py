"""The engine "ray": a study's request fitted to the cluster, and its runners there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hpo.config import StudyConfig
from hpo.errors import SettingsError
from hpo.execution.request import Request
from hpo.runners import RayCluster, RayNeed, RayRunner, cluster_gpus, joined_ray
from hpo.study import StudyRecord
from recsys.config import TrainConfig
from recsys.data import Holdout, load_holdout
from recsys.messages import count
from recsys.training import useful_threads

MAX_WORKERS = 64  # unless --workers says otherwise; the launcher keeps up with about 150


@contextmanager
def on_ray(request: Request, say: Callable[[str], None]) -> Iterator[Request]:
    """Join the cluster and yield the request with it, and with a device for each worker there.

    Args:
        request: the call of hpo.run.
        say: called with lines for people.

    Raises:
        SettingsError: Ray, the cluster or room on it is missing.
    """
    config = request.config
    with joined_ray(request.ray_address):
        need = ray_need(config, request.devices[0], cluster_gpus())
        cluster = RayCluster(need, config.resources.place_seconds, say, config.trainable)
        cluster.open()
        try:
            workers = config.workers or max(1, min(cluster.room(), MAX_WORKERS))
            say(f"Ray: {count(workers, 'worker')} of {need}")
            yield replace(request, devices=[need.device] * workers, cluster=cluster)
        finally:
            cluster.close()


def ray_need(config: StudyConfig, device: str, gpus: float) -> RayNeed:
    """Return the resources of one worker.

    Args:
        config: the study's config.
        device: --device: "auto", "cpu" or "cuda".
        gpus: number of GPUs of the cluster.

    Raises:
        SettingsError: the device is none that a cluster can choose.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise SettingsError(
            f"--device {device} is of this machine, and Ray chooses among the cluster's: "
            "give auto, cpu or cuda"
        )
    wanted = config.resources
    slots = 1 if config.device_slots == "auto" else config.device_slots
    usual = 1 / slots if device == "cuda" or (device == "auto" and gpus) else 0.0
    share = 0.0 if device == "cpu" else usual if wanted.gpus is None else wanted.gpus
    return RayNeed(wanted.cpus or float(config.threads or 1), share, wanted.memory_gb)


@contextmanager
def ray_runners(
    request: Request, holdout: Holdout, record: StudyRecord, data: Path
) -> Iterator[Sequence[RayRunner]]:
    """Put the data into the object store once, and make a runner for each slot.

    Args:
        request: the request of `on_ray`.
        holdout: data for the trials.
        record: the study's record.
        data: file of the data, without ids.
    """
    cluster, config = request.cluster, record.config
    assert cluster is not None, "the engine ray without a cluster"
    available = max(1, int(cluster.need.cpus))
    threads = request.config.threads or available
    if not (request.config.threads or config.trainable):
        two_tower = TrainConfig.of(request.config.train_config)
        threads = useful_threads(holdout.seen.n_items, two_tower, available)
    metrics = (config.objective, config.cutoffs)
    cluster.put(load_holdout(data), metrics, threads)
    runners = [RayRunner(cluster, threads) for _ in request.devices]
    try:
        yield runners
    finally:
        for runner in runners:
            runner.close()

"""A Ray cluster as a place for workers: joining it, its room, and what it lacks."""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo.errors import NodeLost, SettingsError, StudyStopped, TrainingFailed, WorkerDied
from hpo.runners.on_ray.trainer import installed_versions
from hpo.runners.on_ray.worker import RayWorker

if TYPE_CHECKING:
    from recsys.data import Holdout
    from recsys.evaluation import MetricName

GB = 1e9
CLIENT = "ray://"
TELL_SECONDS = 5.0  # of waiting in silence
POLL_SECONDS = 0.5
CURE = (
    "lower [resources] or --threads, add or free nodes, or for a cluster that grows on demand "
    "raise resources.place_seconds"
)


@dataclass(frozen=True)
class RayNeed:
    """The resources of one worker.

    Attributes:
        cpus: CPUs.
        gpus: GPUs; a part if several workers share one.
        memory_gb: memory that Ray sets aside, in GB; None: none.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_gb: float | None = None

    @property
    def by_name(self) -> dict[str, float]:
        """Return the amounts by Ray's names."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus, "memory": (self.memory_gb or 0) * GB}
        return {name: amount for name, amount in wanted.items() if amount}

    def __str__(self) -> str:
        """Return the amounts in words."""
        return _words(self.by_name)

    @property
    def options(self) -> dict[str, float]:
        """Return the options of an actor."""
        return {
            "num_cpus": self.cpus,
            "num_gpus": self.gpus,
            **({"memory": self.memory_gb * GB} if self.memory_gb else {}),
        }

    @property
    def device(self) -> str:
        """Return the torch device of a worker, which sees its own GPUs only."""
        return "cuda:0" if self.gpus else "cpu"


@contextmanager
def joined_ray(address: str) -> Iterator[None]:
    """Join a cluster while the block runs; a program that has joined one stays there.

    Args:
        address: "auto", HOST:PORT, or "local" for a cluster of this machine only, which ends with
            the block.

    Raises:
        SettingsError: Ray is not installed, there is no such cluster, or it cannot be joined.
    """
    if importlib.util.find_spec("ray") is None:
        raise SettingsError(
            'the engine "ray" needs Ray, which is not installed: pip install "two-tower-hpo[ray]", '
            "or train with --engine process"
        )
    if address.startswith(CLIENT):
        raise SettingsError(
            f"--ray-address {address}: Ray's client cannot stream epochs; run hpo on a node of the "
            "cluster (ray job submit -- hpo run --engine ray), which --ray-address auto finds"
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        yield
        return
    _silence_ray()
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({"include_dashboard": False} if address == "local" else {}),
        )
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise SettingsError(
            f"--ray-address {address}: no Ray cluster can be joined there ({error}); start one "
            "with ray start --head, give HOST:PORT of its head, or --ray-address local for this one"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _silence_ray() -> None:
    """Keep raylets' messages, which errors repeat, off stdout, where --json prints its events."""
    from ray._private import worker

    worker.print_to_stdstream = lambda *_args, **_kwargs: None


def cluster_gpus() -> float:
    """Return the number of GPUs of the joined cluster."""
    import ray

    return float(ray.cluster_resources().get("GPU", 0.0))


class RayCluster:
    """The joined cluster, as far as one study's workers use it. **Thread-safe.**

    Args:
        need: the resources of one worker.
        place_seconds: seconds without any place after which the study stops.
        say: called with lines for people.
        trainable: the model to train, see `StudyConfig.trainable`; its module must be on the nodes.

    Attributes:
        need: the resources of one worker.
        tell: tells people one line.
    """

    def __init__(
        self,
        need: RayNeed,
        place_seconds: float,
        say: Callable[[str], None],
        trainable: str | None = None,
    ) -> None:
        self.need, self._place_seconds, self.tell = need, place_seconds, say
        self._trainable = trainable
        self._lock = threading.Lock()
        self._spare: RayWorker | None = None
        self._placed: set[object] = set()
        self._told: set[object] = set()
        self._last_placed = time.monotonic()
        self._left_out: dict[str, str] = {}
        self._prepare_arguments: tuple[Any, ...] = ()

    def open(self) -> None:
        """Wait for a first place, so that a study never begins without one.

        Raises:
            SettingsError: there is no room, or the nodes cannot run hpo.
        """
        worker = self._first_worker()
        if difference := _difference(worker):
            worker.kill()
            raise SettingsError(difference)
        self._spare, self._last_placed = worker, time.monotonic()

    def _first_worker(self) -> RayWorker:
        """Return a worker that has a place.

        Raises:
            SettingsError: there is no room, or the nodes cannot run hpo.
        """
        worker, began, told = self._new_worker(), time.monotonic(), False
        try:
            while True:
                try:
                    if worker.has_place(POLL_SECONDS):
                        return worker
                except (
                    NodeLost
                ):  # Ray learns of a node's end late, and places workers there until then
                    worker = self._new_worker()
                waited = time.monotonic() - began
                if waited > self._place_seconds:
                    raise SettingsError(
                        f"no place for a worker within {self._place_seconds:g} s: "
                        f"{self.missing()}; {CURE}"
                    )
                if waited > TELL_SECONDS and not told:
                    told = True
                    self.tell(f"waiting for a place on the cluster: {self.missing()}")
        except (WorkerDied, TrainingFailed) as error:
            raise SettingsError(_cannot_start(error)) from error
        except BaseException:
            worker.kill()
            raise

    def put(
        self, holdout: Holdout, metrics: tuple[MetricName, Sequence[int]], threads: int
    ) -> None:
        """Put the data into the object store, from where each node fetches it once.

        Args:
            holdout: data for the trials, without ids.
            metrics: the metric that decides which epoch is best, and further cut-offs.
            threads: torch threads of a worker.
        """
        import ray

        self._prepare_arguments = (ray.put(holdout), metrics, self.need.device, threads)

    def new_worker(self) -> RayWorker:
        """Ask for a worker; its place and data come when they come."""
        with self._lock:
            worker, self._spare = self._spare or self._new_worker(), None
        worker.prepare(*self._prepare_arguments)
        return worker

    def _new_worker(self) -> RayWorker:
        """Ask for a worker on any node but those left out."""
        options: dict[str, Any] = dict(self.need.options)
        if self._left_out:
            from ray.util.scheduling_strategies import NodeLabelSchedulingStrategy, NotIn

            names = {"ray.io/node-id": NotIn(*self._left_out)}
            options["scheduling_strategy"] = NodeLabelSchedulingStrategy(hard=names)
        return RayWorker(options, self._trainable)

    def is_usable(self, worker: RayWorker) -> bool:
        """Return True if a placed worker has the launcher's code; else leave its node out."""
        if difference := _difference(worker):
            self.leave_out(worker, difference)
        return not difference

    def leave_out(self, worker: RayWorker, reason: str) -> None:
        """Place no more workers on a worker's node.

        Args:
            worker: the worker that cannot train there.
            reason: why, in one line.
        """
        with self._lock:
            known = worker.node in self._left_out
            if worker.node:
                self._left_out[worker.node] = reason
        if not known:
            self.tell(f"node {worker.place or 'unknown'} is left out: {reason}")

    def placed(self, slot: object) -> None:
        """Note that a slot has a worker.

        Args:
            slot: the slot.
        """
        with self._lock:
            self._placed.add(slot)
            self._told.discard(slot)
            self._last_placed = time.monotonic()

    def lost(self, slot: object) -> None:
        """Note that a slot has no worker."""
        with self._lock:
            if slot in self._placed:
                self._placed.discard(slot)
                self._last_placed = time.monotonic()

    def check_wait(self, slot: object, since: float) -> None:
        """Report a slot that has waited too long for a place; stop the study if no slot has one.

        Args:
            slot: a slot without a place.
            since: `time.monotonic()` when it began to wait.

        Raises:
            StudyStopped: no slot has had a place for `place_seconds`.
        """
        now, limit = time.monotonic(), self._place_seconds
        with self._lock:
            alone = not self._placed and now - self._last_placed > limit
            tell = not alone and slot not in self._told and now - since > limit
            if tell:
                self._told.add(slot)
        if alone:
            raise StudyStopped(
                f"stopped: no worker has had a place for {limit:g} s: {self.missing()}; {CURE}; "
                "then run the same command again"
            )
        if tell:
            self.tell(f"a worker has waited {limit:g} s for a place: {self.missing()}")

    def close(self) -> None:
        """End the worker that no slot took."""
        with self._lock:
            if self._spare is not None:
                self._spare.kill()
                self._spare = None

    def room(self) -> int:
        """Return how many workers fit on the living nodes when they are empty."""
        wanted = self.need.by_name
        return sum(
            int(min(node.get(name, 0.0) / amount for name, amount in wanted.items()))
            for node in _totals()
        )

    def missing(self) -> str:
        """Return which resource keeps a worker from its place, in words."""
        import ray

        wanted, totals = self.need.by_name, _totals()
        needs = f"a worker needs {self.need}"
        if self._left_out and len(self._left_out) >= len(totals):
            return f"{needs}; every node is left out: {next(iter(self._left_out.values()))}"
        for name, amount in wanted.items():
            largest = max((node.get(name, 0.0) for node in totals), default=0.0)
            if largest < amount:
                return f"{needs}; the largest node has {_words({name: largest})}"
        if not self.room():
            return f"{needs}; no node has all of it"
        free = ray.available_resources()
        left = {name: free.get(name, 0.0) for name in wanted}
        return f"{needs}; {_words(left)} are free on {len(totals)} nodes together"


def _totals() -> list[dict[str, float]]:
    """Return the resources of each living node."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _words(amounts: dict[str, float]) -> str:
    """Return amounts of resources in words."""
    return ", ".join(
        f"memory {amount / GB:.1f} GB" if name == "memory" else f"{name} {amount:g}"
        for name, amount in amounts.items()
    )


def _difference(worker: RayWorker) -> str:
    """Return what a worker's node lacks of the launcher's code, and the cure; "" if nothing."""
    here = installed_versions()
    pairs = [
        f"{name} {there or 'missing'} (here {here.get(name) or 'missing'})"
        for name in sorted({*here, *worker.versions})
        if (there := worker.versions.get(name)) != here.get(name)
    ]
    if not pairs and worker.import_problem:
        return (
            f"node {worker.place} cannot import the model ({worker.import_problem}); install "
            "its package there, or send its folder with ray job submit --working-dir"
        )
    if not pairs:
        return ""
    return (
        f"node {worker.place} has other versions than the launcher, and with them other numbers: "
        f"{', '.join(pairs)}; install the same ones there, or send them with "
        "ray job submit --runtime-env"
    )


def _cannot_start(error: Exception) -> str:
    """Return why a first worker cannot start, and the cure."""
    reason = getattr(error, "traceback", "") or str(error)
    lines = [line for line in reason.splitlines() if line.strip()]
    return (
        f"a worker on the cluster cannot start: {lines[-1].strip() if lines else error}; every "
        "node needs two-tower-hpo in the launcher's version: install it there, or send it with "
        "ray job submit --runtime-env"
    )

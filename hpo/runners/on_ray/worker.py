"""A worker on a Ray cluster: the launcher's end of `hpo.runners.on_ray.trainer`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from hpo.errors import NodeLost, TrainingFailed, WorkerDied
from hpo.runners.on_ray.trainer import RayTrainer

if TYPE_CHECKING:
    from recsys.evaluation import MetricName

BEAT_SECONDS = 5.0  # without a message, the worker is asked for a sign of life
SILENCE_SECONDS = 60.0
CONFIRM_SECONDS = 6.0  # a worker's own death is known to its node at once, a node's death is not
NO_MEMORY = "running low on memory"  # Ray's own killer
NODE_DIED = "its node has died"


@cache
def _actor_class() -> Any:
    """Return RayTrainer as an actor with a second thread for questions."""
    import ray

    return ray.remote(concurrency_groups={"control": 1})(RayTrainer)


class RayWorker:
    """An actor, asked for at construction; it gets a place when the cluster has one.

    The scheduler of hpo alone tries again what was lost, so Ray restarts and repeats nothing.

    Args:
        options: options of the actor: its resources and nodes.
        trainable: the model to train, importable on the nodes; None: the two-tower.

    Attributes:
        asked: `time.monotonic()` when the actor was asked for.
        node: id of the node; "" before it has a place.
        place: name and id of the node; "" before it has a place.
        versions: versions there, see `hpo.runners.on_ray.trainer.installed_versions`.
        import_problem: why the model cannot be imported there; "" if it can.
        processor: model of the processor that trains; "" before it is prepared.
    """

    def __init__(self, options: Mapping[str, Any], trainable: str | None = None) -> None:
        wanted = _actor_class().options(max_restarts=0, max_task_retries=0, **options)
        actor: Any = wanted.remote(trainable)
        self._actor: Any = actor
        self._stream: Any = None
        self._facts, self._prepared = actor.place.remote(), None
        self._killed = False
        self.asked = time.monotonic()
        self.node = self.place = self.processor = self.import_problem = ""
        self.versions: Mapping[str, str] = {}

    @property
    def is_lost(self) -> bool:
        """Return True if the actor was killed or has ended."""
        return self._killed

    def has_place(self, wait_seconds: float = 0.0) -> bool:
        """Return True if the actor lives on a node.

        Raises:
            NodeLost: its machine is gone.
            WorkerDied: the actor ended.
            TrainingFailed: the actor cannot start.
        """
        if not self.node:
            if (facts := self._answer(self._facts, wait_seconds)) is None:
                return False
            self.node, self.versions = facts["node"], facts["versions"]
            self.import_problem = facts["import_problem"]
            self.place = f"{facts['host']} ({self.node})"
        return True

    def prepare(
        self,
        data: Any,
        metrics: tuple[MetricName, Sequence[int]],
        device: str,
        threads: int,
    ) -> None:
        """Send data and settings, see `RayTrainer.prepare`.

        Args:
            data: reference to a Holdout in the object store.
            metrics: the metric that decides which epoch is best, and further cut-offs.
            device: torch device of the trainings.
            threads: torch threads of the trainings.
        """
        self._prepared = self._actor.prepare.remote(data, metrics, device, threads)

    def is_prepared(self, wait_seconds: float = 0.0) -> bool:
        """Return True if the actor can train; raises as `has_place`."""
        if not self.has_place(wait_seconds):
            return False
        if not self.processor:
            self.processor = self._answer(self._prepared, wait_seconds) or ""
        return bool(self.processor)

    def _answer(self, question: Any, wait_seconds: float) -> Any:
        """Return the answer to an earlier question; None if there is none yet."""
        import ray

        try:
            done, _ = ray.wait([question], timeout=wait_seconds)
            return ray.get(done[0]) if done else None
        except ray.exceptions.RayError as error:
            raise self._translated(error) from error

    def start(
        self, task: int, config: Mapping[str, Any], snapshot: bytes | None, *, parks: bool
    ) -> None:
        """Begin a training, see `RayTrainer.train`; `receive` returns its messages."""
        train = self._actor.train.options(num_returns="streaming")
        self._stream = train.remote(task, config, snapshot, parks=parks)

    def receive(self) -> dict[str, Any]:
        """Wait for the next message and return it: of the training, or a sign of life.

        Raises:
            NodeLost: the machine is gone, or out of reach.
            WorkerDied: the actor ended, or did not answer for a minute and was killed.
            MemoryError: the actor was killed because memory ran out.
            TrainingFailed: the training broke off by an error of its own.
        """
        import ray

        try:
            done, _ = ray.wait([self._stream], timeout=BEAT_SECONDS)
            if not done:
                return {"alive": True, "cpu": self._cpu_seconds()}
            message: dict[str, Any] = ray.get(next(self._stream))
        except ray.exceptions.RayError as error:
            raise self._translated(error) from error
        except StopIteration:
            raise WorkerDied("the training broke off without a last message") from None
        return message

    def _cpu_seconds(self) -> float:
        """Return the CPU time of the actor.

        Raises:
            WorkerDied: it did not answer for a minute and was killed.
        """
        import ray

        question = self._control("cpu_seconds")
        try:
            seconds: float = ray.get(question, timeout=SILENCE_SECONDS)
        except ray.exceptions.GetTimeoutError:
            self.kill()
            text = f"the worker was silent for {SILENCE_SECONDS:.0f} s, killed"
            raise WorkerDied(text) from None
        return seconds

    def _control(self, method: str, *arguments: Any) -> Any:
        """Call a method in the actor's second thread; return the reference to its answer."""
        return getattr(self._actor, method).options(concurrency_group="control").remote(*arguments)

    def ask(self, wish: str, task: int) -> None:
        """Ask the actor to stop or park a training, see `RayTrainer.ask`."""
        self._control("ask", wish, task)

    def kill(self) -> None:
        """Kill the actor at once; may be called again, and from any thread."""
        import ray

        self._killed = True
        if ray.is_initialized():
            ray.kill(self._actor)

    def _translated(self, error: Exception) -> Exception:
        """Return hpo's exception for an error of Ray; kill the actor unless its task failed."""
        import ray

        try:
            return self._cause(error)
        finally:
            if not isinstance(error, ray.exceptions.RayTaskError):
                self.kill()

    def _cause(self, error: Exception) -> Exception:
        """Return the exception of hpo for an error of Ray."""
        from ray import exceptions

        if self._killed:
            return WorkerDied("the worker was killed")
        if isinstance(error, exceptions.ActorUnavailableError):
            error = self._confirmed(error)
        text = " ".join(str(error).split())
        if isinstance(error, exceptions.OutOfMemoryError) or NO_MEMORY in text:
            return MemoryError(f"Ray killed the worker because memory ran out: {text}")
        if isinstance(error, exceptions.RayTaskError) or getattr(error, "actor_init_failed", False):
            return TrainingFailed(_first_line(error), str(error))
        if self._is_of_the_node(error):
            return NodeLost(f"node {self.place} is gone or out of reach: {text}")
        return WorkerDied(f"the worker on {self.place} died: {text}")

    def _is_of_the_node(self, error: Exception) -> bool:
        """Return True if the whole node is lost, not only the actor."""
        from ray import exceptions

        return (
            isinstance(error, exceptions.ActorUnavailableError)
            or NODE_DIED in str(error)
            or bool(getattr(error, "preempted", False))
            or not self._node_lives()
        )

    def _confirmed(self, error: Exception) -> Exception:
        """Return the reason why an actor cannot be reached: its own death if that is known soon."""
        import ray

        deadline = time.monotonic() + CONFIRM_SECONDS
        while time.monotonic() < deadline and self._node_lives():
            try:
                ray.get(self._control("cpu_seconds"), timeout=CONFIRM_SECONDS)
                return error  # it lives, but its stream is broken
            except ray.exceptions.RayError as found:
                if isinstance(found, ray.exceptions.ActorDiedError):
                    died: Exception = found
                    return died
        return error

    def _node_lives(self) -> bool:
        """Return True unless the cluster knows that the node is gone."""
        import ray

        return not self.node or any(
            node["NodeID"] == self.node and node["Alive"] for node in ray.nodes()
        )


def _first_line(error: Any) -> str:
    """Return an error of the user's or our code on a node in one line."""
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {cause}".splitlines()[0]

"""The actor that trains on a node of a Ray cluster; it imports neither optuna nor mlflow.

It has two threads: one trains, the other answers while it does ("control").
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.runners.base import TrainingSetup
    from hpo.runners.watchdog import FamilyClock
    from recsys.data import Holdout
    from recsys.evaluation import MetricName

PACKAGES = ("two-tower-hpo", "torch", "numpy")  # the same numbers need the same versions


def installed_versions() -> dict[str, str]:
    """Return the versions of this program and of the packages that decide its numbers."""
    found = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):  # run from a folder of sources
            found[name] = metadata.version(name)
    return found


def _import_problem(trainable: str | None) -> str:
    """Return why the module of a model cannot be found here; "" if it can.

    The module itself is imported only when the environment of torch's threads is set.
    """
    if trainable is None:
        return ""
    module = trainable.partition(":")[0]
    try:
        return "" if find_spec(module) else f"No module named {module!r}"
    except ImportError as error:  # of a package that the module is in
        return str(error)


class RayTrainer:
    """A trainer of one config at a time.

    Args:
        trainable: the model to train, see `StudyConfig.trainable`.
    """

    def __init__(self, trainable: str | None) -> None:
        self._trainable = trainable
        self._stopped: set[int] = set()
        self._parking: set[int] = set()
        self._setup: TrainingSetup | None = None
        self._clock: FamilyClock | None = None

    def place(self) -> dict[str, Any]:
        """Return where this actor lives, with which versions, and if the model is there."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        facts = {"node": node, "host": platform.node(), "pid": os.getpid()}
        return facts | {
            "versions": installed_versions(),
            "import_problem": _import_problem(self._trainable),
        }

    def prepare(
        self,
        holdout: Holdout,
        metrics: tuple[MetricName, Sequence[int]],
        device: str,
        threads: int,
    ) -> str:
        """Take the data, and return the model of the processor that trains.

        Args:
            holdout: history to train on and relevant items to score with; its arrays lie in the
                node's object store, which all actors of the node share.
            metrics: the metric that decides which epoch is best, and cut-offs of further rankings.
            device: torch device of the trainings.
            threads: torch threads of the trainings.
        """
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # the reason is in `recsys.cli.entry`
        os.environ["OMP_NUM_THREADS"] = str(threads)
        import torch

        from hpo.runners.base import TrainingSetup
        from hpo.runners.devices import processor_of

        torch.set_num_threads(threads)
        self._setup = TrainingSetup(holdout, torch.device(device), metrics, self._trainable)
        return processor_of(device)

    def train(
        self, task: int, config: Mapping[str, Any], snapshot: bytes | None, *, parks: bool
    ) -> Iterator[dict[str, Any]]:
        """Train and yield the messages of `hpo.runners.messages.training_messages`.

        Args:
            task: number of the training, for `ask`.
            config: values of a TrainConfig.
            snapshot: content of a snapshot to resume from; None: start at the first epoch.
            parks: True if the training can be parked; the last message then has the "snapshot",
                which is None if the model saved nothing.
        """
        from hpo.runners.messages import Wish, training_messages

        assert self._setup is not None, "train() before prepare()"

        def wish() -> Wish:
            if task in self._stopped:
                return Wish.STOP
            return Wish.PARK if task in self._parking else Wish.GO_ON

        with tempfile.TemporaryDirectory(prefix="two-tower-hpo-") as folder:
            place = Path(folder) / "trial.safetensors"
            if snapshot is not None:
                place.write_bytes(snapshot)
            kept = place if parks else None
            for message in training_messages(self._setup, config, kept, wish):
                if message.get("end") == "parked":
                    message["snapshot"] = place.read_bytes() if place.exists() else None
                yield message

    def ask(self, wish: str, task: int) -> None:
        """Stop or park a training after its current epoch.

        Args:
            wish: "stop" or "park".
            task: number of the training.
        """
        (self._stopped if wish == "stop" else self._parking).add(task)

    def cpu_seconds(self) -> float:
        """Return the CPU time of this process and its descendants, as a sign of life."""
        from hpo.runners.watchdog import FamilyClock

        self._clock = self._clock or FamilyClock()
        return self._clock.seconds()

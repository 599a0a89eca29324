"""A real Ray cluster of one machine: a head without CPUs, and nodes of one CPU each."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest

HEAD_BYTES, NODE_BYTES = 120_000_000, 80_000_000  # of the object stores


class Nodes:
    """The nodes of a cluster that this process has joined."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": HEAD_BYTES, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address: str = self._cluster.address
        self._nodes: list[Any] = []
        self.fill()

    def fill(self, n_nodes: int = 2) -> None:
        """Add nodes until there are as many."""
        while len(self._nodes) < n_nodes:
            self._nodes.append(self._cluster.add_node(num_cpus=1, object_store_memory=NODE_BYTES))
        self._cluster.wait_for_nodes(60)

    @property
    def ids(self) -> list[str]:
        return [node.node_id for node in self._nodes]

    def end(self, node_id: str) -> None:
        """Kill a node's raylet without grace, and with it its workers."""
        (node,) = [node for node in self._nodes if node.node_id == node_id]
        self._nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="session")
def ray_nodes() -> Iterator[Nodes]:
    """Two nodes, joined by this process; skips the test without Ray."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    from hpo.runners.on_ray.cluster import _silence_ray

    nodes = Nodes()
    try:
        _silence_ray()
        ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.ERROR)
        yield nodes
    finally:
        ray.shutdown()
        nodes.close()


@pytest.fixture
def two_nodes(ray_nodes: Nodes) -> Nodes:
    """The cluster with two living nodes, whatever earlier tests did to it."""
    ray_nodes.fill()
    return ray_nodes

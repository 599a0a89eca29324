"""Small trained models in a real registry, tagged as hpo.promote tags them; and served."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
from mlflow import MlflowClient

from hpo.config import MODEL
from hpo.dashboards.host_guard import LOCAL_HOSTS
from hpo.registry.model_store import ModelStore, Reference, manifest_tag
from hpo.registry.versions import CHAMPION
from hpo.serve import listen
from hpo.serving.app import make_app, make_server
from hpo.serving.live_model import LiveModel
from recsys.artifacts import checkpoint
from recsys.artifacts.mlflow_client import experiment_id, open_client
from recsys.artifacts.mlflow_run import log_checkpoint, open_run
from tests.support.examples import conveyor
from tests.support.mlflow_store import fresh_store
from tests.support.trained import Trained, train, trained


class Registered:
    """A registry in one folder, with a cache of its own beside it."""

    def __init__(self, folder: Path, uri: str | None = None) -> None:
        self.folder = folder
        self.uri = uri or fresh_store(folder)
        self.client = open_client(self.uri)
        self.client.create_registered_model(MODEL)

    @cached_property
    def store(self) -> ModelStore:
        return ModelStore(self.uri, self.folder / "cache")

    def add(self, model: Trained | None = None, *, old: bool = False, **tags: str) -> int:
        """A new champion, measured with the train part; old: with a tag for each file."""
        model = model or trained()
        experiment = experiment_id(self.client, "two-tower-hpo")
        folder = self.folder / "model"
        about = checkpoint.origin("conveyor", model.parts)
        checkpoint.save(
            folder, model.model, model.parts.interactions, about, measured=model.history
        )
        with open_run(self.client, experiment, "promotion", {}) as run:
            log_checkpoint(self.client, run, folder)
        files = checkpoint.stored_files(folder)
        each = {f"sha256.{name}": digest for name, digest in files.items()}
        tags = (each if old else manifest_tag(folder)) | tags
        source = self.client.get_run(run).info.artifact_uri
        version = self.client.create_model_version(MODEL, source, run, tags)
        self.point(int(version.version))
        return int(version.version)

    def point(self, version: int) -> None:
        self.client.set_registered_model_alias(MODEL, CHAMPION, str(version))

    def artifacts(self, version: int) -> Path:
        return artifacts(self.client, version)

    def live(self, *, as_measured: bool = False) -> LiveModel:
        return LiveModel(
            self.store, Reference.parse(f"models:/{MODEL}@{CHAMPION}"), as_measured=as_measured
        )


def artifacts(client: MlflowClient, version: int) -> Path:
    """Folder with the files of a version's run."""
    run = client.get_model_version(MODEL, str(version)).run_id
    return Path(url2pathname(urlsplit(client.get_run(run).info.artifact_uri).path))


def another(seed: int = 3) -> Trained:
    """A model on other data."""
    rng = np.random.default_rng(seed)
    data = conveyor(n_users=40)
    return train(data.take(rng.random(len(data)) < 0.8))


@contextmanager
def running(live: LiveModel, hosts: Sequence[str] = LOCAL_HOSTS) -> Iterator[int]:
    """A real HTTP server in a thread; its port."""
    with listen("127.0.0.1", 0) as listener:  # takes connections from here on: nothing to wait for
        server = make_server(make_app(live, hosts))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


class Client:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(
        self, path: str, body: Any, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON; a body that is no str or bytes is sent as JSON."""
        content = body if isinstance(body, (str, bytes)) else json.dumps(body)
        data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        return self.ask("POST", path, data, headers)

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        return self.ask("GET", path, None, headers)

    def ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None
    ) -> tuple[int, Any]:
        self._connection.request(method, path, body, headers or {})
        with self._connection.getresponse() as response:
            content = response.read()
            kind = response.headers["content-type"]
        found = json.loads(content) if kind == "application/json" else content.decode()
        return response.status, found

    def items(self, body: Any) -> list[str]:
        status, found = self.post("/recommend", body)
        assert status == 200, found
        return [item["item_id"] for item in found["items"]]

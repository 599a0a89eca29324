"""An object store by moto's server, with a bucket."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

import boto3
import pytest

from tests.support.mlflow_server import eventually, free_port

BUCKET = "team"


class ObjectStore:
    """moto's server. It keeps objects in its memory, so a stop of the process loses them.

    Attributes:
        environment: variables for clients.
        port: port on this machine.
    """

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "team-id",
            "AWS_SECRET_ACCESS_KEY": "hush-hush",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Start the server with an empty bucket."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "--port", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(self._answers)
        self.client.create_bucket(Bucket=BUCKET)

    def _answers(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(self.environment["AWS_ENDPOINT_URL"]):
            return True
        return False

    @property
    def client(self) -> boto3.client:
        return boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id="team-id",
            aws_secret_access_key="hush-hush",
            region_name="us-east-1",
        )

    def names(self) -> list[str]:
        """Return the names of all objects, without their hashes and folders."""
        return sorted(key.rpartition("/")[2].partition("-")[2] for key in self.stored())

    def stored(self) -> list[str]:
        """Return the keys of all objects."""
        found = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return sorted(each["Key"] for each in found)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(20)


@pytest.fixture(scope="module")
def moto_server() -> Iterator[ObjectStore]:
    store = ObjectStore()
    store.start()
    yield store
    store.stop()


@pytest.fixture
def object_store(moto_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """An object store with an empty bucket, known to this process and its children."""
    for name, value in moto_server.environment.items():
        monkeypatch.setenv(name, value)
    for key in moto_server.stored():
        moto_server.client.delete_object(Bucket=BUCKET, Key=key)
    return moto_server

"""A new champion that cannot be opened: what is tried again, how often, and what is said."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo.registry.model_store import ModelRefused, ModelStore
from hpo.serving.live_model import LiveModel
from recsys.artifacts.checkpoint import Checkpoint
from recsys.errors import CheckpointError, TrackingError
from tests.support.registered import Registered, another


@pytest.fixture
def registered(tmp_path: Path) -> Registered:
    """A registry whose second version is not yet the champion."""
    found = Registered(tmp_path)
    found.add()
    return found


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Lets the next tries to load a model fail; returns the versions of all tries."""
    load, tried = ModelStore.load, []

    def failing(*errors: Exception) -> list[str]:
        left = list(errors)

        def loaded(self: ModelStore, version: object) -> Checkpoint:
            tried.append(str(version.version))  # type: ignore[attr-defined]
            if left:
                raise left.pop(0)
            return load(self, version)  # type: ignore[arg-type]

        monkeypatch.setattr(ModelStore, "load", loaded)
        return tried

    return failing


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("no room"),
        OSError(errno.EIO, "Input/output error"),
        TrackingError("MLflow at http://x: timed out"),
        CheckpointError("does not fit (DefaultCPUAllocator: can't allocate memory: no room)"),
    ],
)
def test_what_may_pass_is_tried_again(
    registered: Registered, loading: Callable[..., list[str]], error: Exception
) -> None:
    live = registered.live()
    registered.add(another())
    loading(error)
    live.poll()
    assert live.current().version == "1"
    assert live.problem is not None
    assert live.problem.startswith("version 2 cannot be served, version 1 still is: ")
    assert live.problem.endswith("(it will be tried again)")
    live.poll()
    assert (live.current().version, live.problem) == ("2", None)


def test_a_full_cache_is_tried_again(
    registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = registered.live()
    registered.add(another())
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(Path, "rename", full)
        live.poll()
    assert live.problem is not None
    assert "cannot be written (No space left on device)" in live.problem
    live.poll()
    assert (live.current().version, live.problem) == ("2", None)


@pytest.mark.parametrize("error", [ModelRefused("other files"), CheckpointError("format 9")])
def test_faulty_files_are_refused_until_the_alias_moves(
    registered: Registered, loading: Callable[..., list[str]], error: Exception
) -> None:
    live = registered.live()
    registered.add(another())
    tried = loading(error)
    for _ in range(4):
        live.poll()
        assert live.problem == (
            f"version 2 cannot be served, version 1 still is: {error} (move the alias, or start "
            "again, to try once more)"
        )
    assert tried == ["2"]
    registered.point(1)
    live.poll()
    assert live.problem is None
    registered.point(2)
    live.poll()
    assert (live.current().version, live.problem, tried) == ("2", None, ["2", "2"])


def test_the_version_that_answers_is_the_one_of_now(
    registered: Registered, loading: Callable[..., list[str]]
) -> None:
    live = registered.live()
    registered.add(another())
    loading(ModelRefused("other files"))
    live.poll()
    registered.add(another(4))
    live.poll()
    assert live.current().version == "3"
    registered.point(2)
    loading(ModelRefused("other files"))
    for _ in range(2):
        live.poll()
        assert live.problem is not None
        assert live.problem.startswith("version 2 cannot be served, version 3 still is: ")


def test_failed_downloads_become_rarer(
    registered: Registered, loading: Callable[..., list[str]]
) -> None:
    """Each may be a gigabyte. MLflow itself is asked for the alias at each poll."""
    live = registered.live()
    registered.add(another())
    tried = loading(*[TrackingError("MLflow at http://x: timed out")] * 99)
    polls = [len(tried) for _ in range(52) if not live.poll()]  # type: ignore[func-returns-value]
    assert [n + 1 for n in range(52) if polls[n] > (polls[n - 1] if n else 0)] == [
        1, 2, 4, 8, 16, 28, 40, 52,
    ]  # fmt: skip


def test_a_lost_artifact_is_not_an_outage(registered: Registered) -> None:
    live: LiveModel = registered.live()
    registered.add(another())
    weights = registered.artifacts(2) / "weights.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    live.poll()
    assert live.problem is not None
    assert "does not have weights.safetensors any more; bring it back" in live.problem
    weights.write_bytes(content)
    live.poll()
    assert (live.current().version, live.problem) == ("2", None)

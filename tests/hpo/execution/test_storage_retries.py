"""Patience with a storage: wait, check the lock, call again; and when to stop."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hpo.errors import StorageUnreachable, StudyStopped
from hpo.execution.store import storage_retries
from hpo.execution.store.storage_retries import StorageRetries
from hpo.study.server_lock import StudyLock, connection_options


class LostLock(StudyLock):
    def problem(self) -> str | None:
        return "another launcher has it"


def failing(times: int) -> Callable[[], str]:
    """A call that succeeds after so many failures."""
    left = [times]

    def work() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise StorageUnreachable("the server restarts")
        return "done"

    return work


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_retries, "SHORTEST_WAIT", 0.001)


def test_a_call_is_made_again_until_the_storage_answers() -> None:
    told: list[str] = []
    before_again: list[int] = []
    outages = StorageRetries(StudyLock(), told.append)
    assert outages.call(failing(0)) == "done"
    assert told == []
    assert outages.call(failing(3), lambda: before_again.append(1)) == "done"
    assert len(before_again) == 3
    assert "out of reach (the server restarts); waiting up to 60 minutes" in told[0]
    assert told[1].startswith("the storage is back after ")
    assert len(told) == 2


def test_another_launcher_ends_the_wait() -> None:
    with pytest.raises(StudyStopped, match=r"no longer this launcher's \(another launcher has it"):
        StorageRetries(LostLock(), lambda _: None).call(failing(1))


def test_the_wait_ends_when_it_is_given_up_or_the_outage_is_too_long() -> None:
    told: list[str] = []
    with pytest.raises(StorageUnreachable, match="storage failed: the server restarts; fix that"):
        StorageRetries(StudyLock(), told.append, gives_up=lambda: True).call(failing(1))
    assert told == []
    with pytest.raises(StorageUnreachable):
        StorageRetries(StudyLock(), told.append, outage_seconds=0.0).call(failing(1))


def test_time_outs_of_a_connection_are_the_urls_own_or_ours() -> None:
    url = "postgresql+psycopg://me@db/team"
    assert connection_options(url)["connect_timeout"] == 10
    assert "connect_timeout" not in connection_options(f"{url}?connect_timeout=3")
    assert connection_options("postgresql+asyncpg://me@db/team") == {}

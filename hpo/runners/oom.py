"""Whether Linux killed a worker because memory ran out.

Its killer sends signal 9, as people do, but it counts: per control group (cgroup v2), else for the
whole machine. Another process that it kills within the same ten seconds, or by the machine's
counter even one in another container, is taken for the worker; the worker's config is tried once
more all the same. What kills by itself, as systemd-oomd does, is not counted.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from pathlib import Path

COUNTER = "oom_kill"


class OomKills:
    """The count of such kills where a process lives, from now on. Other systems have none.

    Args:
        pid: of the process.
        root: of the file system.
    """

    def __init__(self, pid: int, root: Path = Path("/")) -> None:
        self._file = _file_of(pid, root)
        self._seen = deque([_count(self._file)], maxlen=2)

    def look(self) -> None:
        """Forget kills before the last look: the process has lived on.

        Not those since then: its last sign of life may come to us after its end.
        """
        self._seen.append(_count(self._file))

    def reason(self) -> str | None:
        """Why the process, which got signal 9, was killed for memory; None: it was not."""
        before, now = self._seen[0], _count(self._file)
        if before is None or now is None or now <= before:
            return None
        return f"{COUNTER} in {self._file} went from {before} to {now}"


def _file_of(pid: int, root: Path) -> Path:
    with suppress(OSError):  # no Linux
        for line in (root / "proc" / str(pid) / "cgroup").read_text().splitlines():
            hierarchy, _, group = line.partition("::")
            events = root / "sys/fs/cgroup" / group.lstrip("/") / "memory.events"
            if hierarchy == "0" and _count(events) is not None:
                return events
    return root / "proc/vmstat"


def _count(file: Path) -> int | None:
    with suppress(OSError):  # no Linux, or the group is gone
        for line in file.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == COUNTER:
                return int(value)
    return None

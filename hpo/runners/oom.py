"""Detection of workers that Linux killed because memory ran out.

The kernel's OOM killer sends signal 9, as people do, but it counts its kills: per control group
(cgroup v2), else for the whole machine. A kill of another process within the same ten seconds, or
with the machine's counter even of one in another container, is mistaken for a kill of the worker;
the worker's config is tried once more in any case. Programs that kill on their own, such as
systemd-oomd, are not counted.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from pathlib import Path

COUNTER = "oom_kill"


class OomKills:
    """The count of OOM kills in the control group of a process, from now on; none outside Linux.

    Args:
        pid: id of the process.
        root: root of the file system.
    """

    def __init__(self, pid: int, root: Path = Path("/")) -> None:
        self._file = _file_of(pid, root)
        self._seen = deque([_oom_kills(self._file)], maxlen=2)

    def look(self) -> None:
        """Move the baseline: OOM kills before the previous heartbeat cannot have hit this process.

        Kills since the previous heartbeat still count, because the last heartbeat may be read
        after the process has ended.
        """
        self._seen.append(_oom_kills(self._file))

    def reason(self) -> str | None:
        """Return the evidence that signal 9 was a kill for memory; None if there is none."""
        before, now = self._seen[0], _oom_kills(self._file)
        if before is None or now is None or now <= before:
            return None
        return f"{COUNTER} in {self._file} went from {before} to {now}"


def _file_of(pid: int, root: Path) -> Path:
    """Return the file with the counter of the process's control group, else of the machine."""
    with suppress(OSError):  # no Linux
        for line in (root / "proc" / str(pid) / "cgroup").read_text().splitlines():
            hierarchy, _, group = line.partition("::")
            events = root / "sys/fs/cgroup" / group.lstrip("/") / "memory.events"
            if hierarchy == "0" and _oom_kills(events) is not None:
                return events
    return root / "proc/vmstat"


def _oom_kills(file: Path) -> int | None:
    """Return the number of OOM kills in a counter file; None if it has none."""
    with suppress(OSError):  # no Linux, or the group is gone
        for line in file.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == COUNTER:
                return int(value)
    return None

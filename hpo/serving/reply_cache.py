"""Replies that a model keeps: whoever comes back within a visit asks the same again."""

from __future__ import annotations

from collections.abc import Callable

from hpo.serving.schemas import Ask, Found

MOST = 10_000  # some megabytes
MOST_ITEMS = 50  # of a reply
MOST_BYTES = 1000  # of a question


class Replies:
    """Whole replies of one model, by the bytes of the question. Nothing in a model changes.

    Only known users have them: strangers' ids and histories are without end, and so is what may
    be excluded.

    Args:
        version: of the model.
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self._replies: dict[bytes, bytes] = {}

    def get(self, body: bytes) -> bytes | None:
        """What was replied to the same bytes before, if it is still kept."""
        return self._replies.get(body)

    def keep(self, body: bytes, ask: Ask, found: Found, reply: bytes) -> None:
        """Keep the reply if it may be asked for again; the oldest goes when there are too many.

        Args:
            body: the question as it came.
            ask: the same, understood.
            found: the answer; another model's, if one took over meanwhile, is not kept.
            reply: the same as bytes.
        """
        is_short = ask.k <= MOST_ITEMS and len(body) <= MOST_BYTES
        if not is_short or ask.exclude or (found.source, found.version) != ("model", self._version):
            return
        if ask.user_id is not None:
            if len(self._replies) >= MOST:
                del self._replies[next(iter(self._replies))]
            self._replies[body] = reply


class Memory:
    """The replies of whichever model answers now.

    Args:
        current: its replies.
        count: is told the source of each reply that is given again.
    """

    def __init__(self, current: Callable[[], Replies], count: Callable[[str], None]) -> None:
        self._current, self._count = current, count

    def reply(self, body: bytes) -> tuple[bytes | None, Replies]:
        """As `Replies.get`; and where to keep the reply if there is none.

        If another model takes over until then, nobody asks these replies any more.
        """
        replies = self._current()
        reply = replies.get(body)
        if reply is not None:
            self._count("model")
        return reply, replies

"""Reply cache keyed by the request body; repeat visitors send identical requests."""

from __future__ import annotations

from collections.abc import Callable

from hpo.serving.schemas import Found, RecommendRequest

MOST = 10_000  # replies per model, which take some megabytes
MOST_ITEMS = 50  # longest reply that is cached
MOST_BYTES = 1000  # longest question whose reply is cached


class Replies:
    """A cache of one model's replies, by the bytes of the question; a model never changes.

    Only replies to known users are cached: the ids and histories of strangers are without end, and
    so are lists of items to exclude.

    Args:
        version: version of the model.
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self._replies: dict[bytes, bytes] = {}

    def get(self, body: bytes) -> bytes | None:
        """Return the cached reply to the same bytes; None if there is none."""
        return self._replies.get(body)

    def keep(self, body: bytes, ask: RecommendRequest, found: Found, reply: bytes) -> None:
        """Cache a reply that may be asked for again, and drop the oldest one if there are too many.

        Args:
            body: bytes of the question.
            ask: the parsed question.
            found: the answer; the answer of a model that took over meanwhile is not cached.
            reply: bytes of the answer.
        """
        is_short = ask.k <= MOST_ITEMS and len(body) <= MOST_BYTES
        if not is_short or ask.exclude or (found.source, found.version) != ("model", self._version):
            return
        if ask.user_id is not None:
            if len(self._replies) >= MOST:
                del self._replies[next(iter(self._replies))]
            self._replies[body] = reply


class CurrentReplies:
    """The reply cache of the model that answers now.

    Args:
        current: returns the replies of that model.
        count: called with the source of each reply from the cache.
    """

    def __init__(self, current: Callable[[], Replies], count: Callable[[str], None]) -> None:
        self._current, self._count = current, count

    def reply(self, body: bytes) -> tuple[bytes | None, Replies]:
        """Return the cached reply, or None, and the replies to add a new one to.

        If another model takes over before the new reply is added, nobody asks these replies any
        more.
        """
        replies = self._current()
        reply = replies.get(body)
        if reply is not None:
            self._count("model")
        return reply, replies

"""Counters of hpo.serve in Prometheus' text format; five lines per kind need no library."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # s
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ServingMetrics:
    """The counters of one process; only its event loop writes them."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._answers: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._buckets: dict[str, list[int]] = {}

    def observe(self, path: str, status: int, seconds: float) -> None:
        """Count one response.

        Args:
            path: path of the request.
            status: status of the response.
            seconds: seconds until the response's head was ready.
        """
        self._requests[path, status] += 1
        self._seconds[path] += seconds  # type: ignore[assignment]  # Counter adds floats, too
        buckets = self._buckets.setdefault(path, [0] * (len(BUCKETS) + 1))
        buckets[bisect_left(BUCKETS, seconds)] += 1

    def answered(self, source: str) -> None:
        """Count one person who got items.

        Args:
            source: "model" or "popular".
        """
        self._answers[source] += 1

    def text(self, version: str, *, healthy: bool) -> str:
        """Return all counters as text.

        Args:
            version: version of the model that answers.
            healthy: True if the newest version answers, as far as MLflow says.
        """
        return "\n".join([*self._lines(version, healthy=healthy), ""])

    def _lines(self, version: str, *, healthy: bool) -> Iterator[str]:
        yield "# TYPE recommend_requests_total counter"
        for (path, status), n in sorted(self._requests.items()):
            yield f'recommend_requests_total{{path="{path}",status="{status}"}} {n}'
        yield "# TYPE recommend_answers_total counter"
        for source in ("model", "popular"):
            yield f'recommend_answers_total{{source="{source}"}} {self._answers[source]}'
        yield "# TYPE recommend_request_seconds histogram"
        for path, counts in sorted(self._buckets.items()):
            total = 0
            for bound, n in zip((*BUCKETS, "+Inf"), counts, strict=True):
                total += n
                yield f'recommend_request_seconds_bucket{{path="{path}",le="{bound}"}} {total}'
            yield f'recommend_request_seconds_sum{{path="{path}"}} {self._seconds[path]}'
            yield f'recommend_request_seconds_count{{path="{path}"}} {total}'
        yield "# TYPE recommend_model_info gauge"
        yield f'recommend_model_info{{version="{version}"}} 1'
        yield "# TYPE recommend_model_up_to_date gauge"
        yield f"recommend_model_up_to_date {int(healthy)}"

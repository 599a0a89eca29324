"""All that a promotion found out, as plain values; the run keeps them as gate.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from hpo.errors import PromotionError
from hpo.gate.drift import Drift
from hpo.gate.race import Race
from hpo.gate.rules import Comparison
from recsys.evaluation.bootstrap import Interval
from recsys.evaluation.metrics import MetricName
from recsys.retrieval.index import IndexFacts

FILE = "gate.json"


@dataclass(frozen=True)
class GateFindings:
    """What the race, or the new data, and the one look at test showed.

    Attributes:
        objective: by which rivals were compared.
        test: every metric of the refit on all test users, with its 95% interval.
        comparisons: with the rivals.
        notes: rivals that were not measured, or only on a part, and why.
        model_mb: size of the model's files, in millions of bytes.
        latency_ms: median time of one answer of 10 items on the machine that promoted.
        champion: the version that had the alias when this was measured; None: there was none.
        reason: why it may not become the champion, in one sentence; None: it may.
        race: on validation; None for a retraining, which runs none.
        drift: how the data differs from the champion's; None for a promotion.
        measured_before: versions of the registry that had been measured on the same test rows (by
            the split's fingerprint) when this one was; None: it was measured before they counted.
        index: what hpo.serve finds answers with; None: they are exact.
    """

    test: Mapping[str, Interval]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]
    model_mb: float
    latency_ms: float
    champion: int | None
    reason: str | None
    race: Race | None = None
    drift: Drift | None = None
    index: IndexFacts | None = None
    objective: MetricName = "recall_at_10"
    measured_before: int | None = None

    def comparison(self, rival: str) -> Comparison | None:
        """The one with this rival; None if it was not measured."""
        return next((found for found in self.comparisons if found.rival == rival), None)


_FORM = TypeAdapter(GateFindings)


def to_json(findings: GateFindings) -> str:
    """The content of gate.json."""
    return _FORM.dump_json(findings, indent=1).decode()


def from_json(text: str) -> GateFindings:
    """What `to_json` wrote.

    Raises:
        PromotionError: it is something else.
    """
    try:
        return _FORM.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]["msg"]
        raise PromotionError(
            f"{FILE} of the version's run is damaged ({first}); delete the version and promote "
            "again"
        ) from None

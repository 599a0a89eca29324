"""Findings of the gate as plain values, kept as gate.json in the run of the registered version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from hpo.errors import PromotionError
from hpo.gate.drift import Drift
from hpo.gate.race import Race
from hpo.gate.rules import Comparison
from recsys.evaluation import Interval, MetricName
from recsys.retrieval import IndexFacts

FILE = "gate.json"
OURS = "this model"  # who answers, in `GateFindings.lists`
OURS_SHARED = "this model (users of the champion)"  # on the common ground, if that is smaller


@dataclass(frozen=True)
class GateFindings:
    """Everything that the gate measured about one model, and its decision.

    Attributes:
        test: every metric of the refit on all test users, with its 95% interval.
        comparisons: comparisons with the rivals.
        notes: sentences on rivals that were not measured, or only on a part of the users, with the
            reason.
        model_mb: size of the model's files, in millions of bytes.
        latency_ms: median time of one answer of 10 items, on the machine that ran the promotion.
        champion: version that had the champion alias at the time of the measurement; None: there
            was none.
        reason: one sentence on why the model may not become the champion; None: it may.
        race: the race on validation; None for a retraining, which runs no race.
        drift: difference between the new data and the champion's; None for a promotion.
        index: facts about the index that hpo.serve uses; None: its answers are exact.
        objective: metric by which the rivals were compared.
        measured_before: number of versions in the registry that had been measured on the same test
            rows (equal fingerprint of the split) before this one; None: the model was measured
            before versions were counted.
        lists: by who answers, this model or a rival, the means of all metrics over the users
            compared, those of exposure too; empty in findings of before they were kept.
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
    lists: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def comparison(self, rival: str) -> Comparison | None:
        """Return the comparison with a rival; None if the rival was not measured."""
        return next((found for found in self.comparisons if found.rival == rival), None)


_FORM = TypeAdapter(GateFindings)


def to_json(findings: GateFindings) -> str:
    """Return findings as the content of gate.json."""
    return _FORM.dump_json(findings, indent=1).decode()


def from_json(text: str) -> GateFindings:
    """Read findings from the content of gate.json.

    Raises:
        PromotionError: `to_json` cannot have written this text.
    """
    try:
        return _FORM.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]["msg"]
        raise PromotionError(
            f"{FILE} of the version's run is damaged ({first}); delete the version and promote "
            "again"
        ) from None

"""The rules of the gate, on numbers per user: no model, no registry, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from hpo.config.study_config import PromotionConfig
from recsys.evaluation.bootstrap import Interval, mean_interval
from recsys.evaluation.metrics import Floats

CHAMPION, DEFAULT = "champion", "default"


@dataclass(frozen=True)
class Comparison:
    """The new model beside one rival, on the same test users.

    Attributes:
        rival: champion, default, popularity, itemknn or ease.
        what: which one, for people; for instance "version 3".
        n_users: how many could be compared.
        ours, theirs: mean of the objective over these users.
        gain: ours - theirs, paired per user, with its 95% interval.
        need: the interval's lower bound must lie above this; None: for information only.
    """

    rival: str
    what: str
    n_users: int
    ours: float
    theirs: float
    gain: Interval
    need: float | None

    @property
    def problem(self) -> str | None:
        """Half a sentence on why the model may not pass; None if it may."""
        if self.need is None or self.gain.low > self.need:
            return None
        return (
            f"its gain over {self.name} is {self.gain.mean:+.4f} with a 95% interval of "
            f"{self.gain.low:+.4f} to {self.gain.high:+.4f}, whose lower end must lie above "
            f"{self.need:+.4f}"
        )

    @property
    def name(self) -> str:
        return f"{self.rival} ({self.what})" if self.what else self.rival


def compare(
    rival: str,
    ours: Floats,
    theirs: Floats,
    rules: PromotionConfig,
    what: str = "",
    *,
    renews: bool = False,
) -> Comparison:
    """One rival's comparison under the study's rules.

    The champion must be beaten by `min_gain`, so that chance does not swap equal models day by
    day; a baseline must be beaten at all. Both count only if they stand in `must_beat`.

    A retraining has the champion's own recipe, so it cannot be expected to beat it. It brings what
    the comparison leaves out: new users, new items, today's histories. So it must only be no worse,
    by a non-inferiority test with the margin `max_loss` times the champion's value.

    Args:
        rival: see `Comparison`.
        ours: (m,) float64, the objective of each user with the new model; m >= 1.
        theirs: (m,) float64, of the same users with the rival.
        rules: of the study file.
        what: see `Comparison`.
        renews: whether it is a retraining of the champion.
    """
    need: float | None = None
    if rival in rules.must_beat:
        need = 0.0
        if rival == CHAMPION:
            need = -rules.max_loss * float(theirs.mean()) if renews else rules.min_gain
    return Comparison(
        rival,
        what,
        len(ours),
        float(ours.mean()),
        float(theirs.mean()),
        mean_interval(ours - theirs),
        need,
    )


def judge(
    comparisons: Sequence[Comparison],
    rules: PromotionConfig,
    model_mb: float,
    latency_ms: float,
    obstacle: str | None = None,
    missing: Mapping[str, str] = MappingProxyType({}),
) -> str | None:
    """Why the model may not become the champion, as one sentence; None if it may.

    Args:
        comparisons: with all rivals that could be measured.
        rules: of the study file.
        model_mb: size of the model's files, in millions of bytes.
        latency_ms: of one answer.
        obstacle: why the champion could not be compared, if that is so.
        missing: why baselines could not be measured, by their names.
    """
    problems = [why for comparison in comparisons if (why := comparison.problem)]
    problems += [
        f"{name} stands in must_beat and could not be measured: {why}"
        for name, why in missing.items()
        if name in rules.must_beat
    ]
    if obstacle and CHAMPION in rules.must_beat:
        problems.insert(0, obstacle)
    for name, found, limit, unit in (
        ("max_model_mb", model_mb, rules.max_model_mb, "MB"),
        ("max_latency_ms", latency_ms, rules.max_latency_ms, "ms"),
    ):
        if limit is not None and found > limit:
            problems.append(f"{found:.3g} {unit} is more than {name} = {limit:g}")
    return "; ".join(problems) or None

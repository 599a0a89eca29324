"""The verdict of the gate, from numbers per user: no model, no registry, no clock.

A rival is beaten if the lower end of the 95% interval of the gain per user is high enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from hpo.config import PromotionConfig
from recsys.evaluation import Floats, Interval, mean_interval

CHAMPION, DEFAULT = "champion", "default"


@dataclass(frozen=True)
class Comparison:
    """The new model compared with one rival on the same test users.

    Attributes:
        rival: champion, default, popularity, itemknn, rp3beta or ease.
        what: description of the rival for people, for instance "version 3".
        n_users: number of users compared.
        ours: the new model's mean of the objective over these users.
        theirs: the rival's mean of the objective over these users.
        gain: ours - theirs, paired per user, with its 95% interval.
        need: the interval's lower bound must lie above this value; None: the comparison is for
            information only.
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
        """Return half a sentence on why the model may not pass; None if it may."""
        if self.need is None or self.gain.low > self.need:
            return None
        return (
            f"its gain over {self.name} is {self.gain.mean:+.4f} with a 95% interval of "
            f"{self.gain.low:+.4f} to {self.gain.high:+.4f}, whose lower end must lie above "
            f"{self.need:+.4f}"
        )

    @property
    def name(self) -> str:
        """Return the name of the rival with its description."""
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
    """Compare the new model with one rival under the study's rules.

    The champion must be beaten by `min_gain`, so that chance does not swap equal models day by day;
    a baseline must be beaten by any amount. Both rules hold only for rivals in `must_beat`.

    A retraining has the champion's own recipe, so it cannot be expected to beat the champion. It
    brings what the comparison leaves out: new users, new items, today's histories. So a retraining
    must only be no worse, by a non-inferiority test with the margin `max_loss` times the champion's
    value.

    Args:
        rival: kind of the rival, see `Comparison`.
        ours: (m,) float64, the objective of each user with the new model; m >= 1.
        theirs: (m,) float64, the objective of the same users with the rival.
        rules: the gate's section of the study file.
        what: description of the rival, see `Comparison`.
        renews: True if the new model is a retraining of the champion.
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
    """Return one sentence on why the model may not become the champion; None if it may.

    Args:
        comparisons: comparisons with all rivals that could be measured.
        rules: the gate's section of the study file.
        model_mb: size of the model's files, in millions of bytes.
        latency_ms: time of one answer, in milliseconds.
        obstacle: the reason why the champion could not be compared; None if it could, or if there
            is no champion.
        missing: by name of a baseline, the reason why it could not be measured.
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

"""The verdict of the gate, from numbers per user: no model, no registry, no clock.

A rival is beaten if the lower end of the 95% interval of the gain per user is high enough, and if
there are enough users to believe that interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from hpo.config import PromotionConfig
from recsys.evaluation import Floats, Interval, mean_interval
from recsys.messages import count

CHAMPION, DEFAULT = "champion", "default"
MIN_USERS = 30  # with fewer test users a comparison means nothing
FEW_DIFFER = 16  # up to so many users that differ, the bootstrap is checked by an exact test
MAX_CHANCE = 0.025  # one-sided, like the lower end of a 95% interval


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
        doubt: half a sentence on why the interval cannot be believed; empty if it can, and in
            findings of before there was such a check.
    """

    rival: str
    what: str
    n_users: int
    ours: float
    theirs: float
    gain: Interval
    need: float | None
    doubt: str = ""

    @property
    def problem(self) -> str | None:
        """Return half a sentence on why the model may not pass; None if it may."""
        if self.need is None:
            return None
        if self.doubt:
            return f"its gain over {self.name} cannot be believed: {self.doubt}"
        if self.gain.low > self.need:
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
    value. A champion whose value is 0 has nothing to lose, so it is no gate for a retraining.

    No interval of fewer than MIN_USERS users is believed. Where a gain is asked for and few users
    differ, it must also be more than chance, see `chance_of_gain`: the bootstrap never draws a loss
    that no user had, so four gains among ties would pass.

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
            need = _margin(rules, float(theirs.mean())) if renews else rules.min_gain
    gain = mean_interval(ours - theirs)
    return Comparison(
        rival,
        what,
        len(ours),
        float(ours.mean()),
        float(theirs.mean()),
        gain,
        need,
        "" if need is None else _doubt(ours - theirs, gain, need),
    )


def chance_of_gain(gains: Floats) -> float:
    """Return how often the sum of gains is as high by chance, by an exact sign-flip test.

    If neither model is better, each user's gain could as well be a loss: of the 2^n ways to give
    the n gains a sign, the share whose sum is at least the one found is returned.

    Source: Fisher 1935, "The Design of Experiments", section 21; Efron and Tibshirani 1993, "An
    Introduction to the Bootstrap", chapter 15.

    Args:
        gains: (n,) float64, without zeros; 2^n sums are made.
    """
    sums = np.zeros(1)
    for gain in np.abs(gains):
        sums = np.concatenate([sums + gain, sums - gain])
    tolerance = 1e-9 * float(np.abs(gains).sum())  # equal sums, added in another order
    return float((sums >= gains.sum() - tolerance).mean())


def _margin(rules: PromotionConfig, value: float) -> float | None:
    """Return the loss that a retraining may have beside a champion's value; None: it has none."""
    return -rules.max_loss * value if value else None


def _doubt(gains: Floats, gain: Interval, need: float) -> str:
    """Return half a sentence on why an interval that would pass cannot be believed, or ""."""
    if len(gains) < MIN_USERS:
        return f"only {count(len(gains), 'test user')} can be compared, {MIN_USERS} are needed"
    differ = gains[gains != 0]
    if need < 0 or gain.low <= need or len(differ) > FEW_DIFFER:
        return ""
    chance = chance_of_gain(differ)
    if chance <= MAX_CHANCE:
        return ""
    return (
        f"only {count(len(differ), 'user')} of {len(gains):,} differ, and such a gain comes by "
        f"chance in {chance:.1%} of cases (at most {MAX_CHANCE:.1%} is allowed); more data settles "
        "it"
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

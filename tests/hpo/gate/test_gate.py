"""The gate's rules on planted numbers: what is known to be better passes, what is not does not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hpo.config.study_config import PromotionConfig
from hpo.errors import SettingsError
from hpo.gate import tables as lines
from hpo.gate.rivals import check_baselines
from hpo.gate.rules import chance_of_gain, compare, judge
from recsys.evaluation.metrics import Floats

USERS, ASKED = 900, 8
RULES = PromotionConfig()
ROUNDS = range(100)


def people(seed: int) -> Floats:
    """(m,) how likely each user's items are found: most hard, some easy; a mean of about 0.18."""
    return np.random.default_rng(seed).beta(0.9, 4.0, USERS)


def planted(likely: Floats, seed: int) -> Floats:
    """(m,) recall of one training: whether each of a user's items is found is drawn by its seed."""
    found = np.random.default_rng(seed).binomial(ASKED, likely.clip(0, 1))
    return found / ASKED


def refused(ours: Floats, theirs: Floats, rival: str = "champion") -> bool:
    return judge([compare(rival, ours, theirs, RULES)], RULES, 1.0, 1.0) is not None


def test_another_seed_of_the_same_config_is_refused() -> None:
    likely = people(0)
    verdicts = [refused(planted(likely, 2 * s), planted(likely, 2 * s + 1)) for s in ROUNDS]
    assert sum(verdicts) >= 95


def test_a_worse_one_is_always_refused() -> None:
    likely = people(0)
    for seed in ROUNDS:
        assert refused(planted(0.95 * likely, 2 * seed), planted(likely, 2 * seed + 1))


def test_a_better_one_passes() -> None:
    likely = people(0)
    for seed in ROUNDS:
        assert not refused(planted(1.2 * likely, 2 * seed), planted(likely, 2 * seed + 1))


def test_itself_is_refused_as_champion_and_as_baseline() -> None:
    same = planted(people(1), 1)
    assert refused(same, same)
    assert refused(same, same, "itemknn")


def test_a_gain_that_is_sure_but_small_beats_a_baseline_and_no_champion() -> None:
    theirs = planted(people(0), 0)
    ours = theirs + 0.0015  # nothing but this differs, so the interval is a point
    assert refused(ours, theirs)
    assert not refused(ours, theirs, "itemknn")
    assert not refused(theirs + 0.0025, theirs)


@given(gain=st.floats(-1, 1), need=st.floats(0, 0.5))
def test_the_lower_end_decides(gain: float, need: float) -> None:
    rules = PromotionConfig(min_gain=need)
    found = compare("champion", np.full(30, gain), np.zeros(30), rules)
    assert (found.problem is None) == (found.gain.low > need)


@pytest.mark.parametrize("n_users", [1, 29])
def test_too_few_users_pass_nothing_however_clear_the_gain(n_users: int) -> None:
    ours, theirs = np.full(n_users, 0.1), np.zeros(n_users)
    found = [compare(rival, ours, theirs, RULES) for rival in ("itemknn", "ease")]
    reason = judge(found, RULES, 1.0, 1.0)
    assert reason is not None
    assert reason.startswith("its gain over itemknn cannot be believed: only ")
    assert reason.endswith(
        f"{n_users} test user{'s' * (n_users > 1)} can be compared, 30 are needed"
    )
    assert judge(found[1:], RULES, 1.0, 1.0) is None  # who is no gate refuses nothing
    assert not refused(np.full(30, 0.1), np.zeros(30))


@pytest.mark.parametrize(
    ("better", "worse", "passes"), [(4, 0, 0), (5, 0, 0), (6, 0, 1), (8, 2, 0)]
)
def test_a_few_gains_among_ties_may_be_chance(better: int, worse: int, passes: bool) -> None:
    """By the sign test: the share of ways to flip signs with as high a sum is above 2.5%."""
    theirs = np.full(5000, 0.5)
    ours = theirs.copy()
    ours[:better] += 0.25
    ours[better : better + worse] -= 0.25
    found = compare("itemknn", ours, theirs, RULES)
    assert found.gain.low >= 0
    assert (judge([found], RULES, 1.0, 1.0) is None) == passes
    if not passes and not worse:
        assert f"only {better} users of 5,000 differ, and such a gain comes by " in found.doubt
        assert lines.gate_table(SimpleNamespace(comparisons=[found]))[1].endswith("0 no")  # type: ignore[arg-type]


def test_the_chance_of_a_gain_is_that_of_all_signs() -> None:
    assert chance_of_gain(np.full(4, 0.1)) == 1 / 16
    assert chance_of_gain(np.array([0.1, 0.2, -0.3])) == 5 / 8
    assert chance_of_gain(np.array([-0.1])) == 1.0


def renewed(ours: Floats, theirs: Floats, rules: PromotionConfig = RULES) -> bool:
    return compare("champion", ours, theirs, rules, renews=True).problem is None


def test_a_retraining_must_only_be_no_worse_than_the_champion() -> None:
    likely = people(0)
    passed = []
    for seed in ROUNDS:
        theirs = planted(likely, 2 * seed)
        again = planted(likely, 2 * seed + 1)
        moved = np.random.default_rng(seed).random(USERS) < 0.15  # others get the same answers
        passed.append(renewed(np.where(moved, again, theirs), theirs))
        assert not renewed(planted(0.8 * likely, 2 * seed + 1), theirs)
    assert sum(passed) >= 95


def test_the_margin_of_a_retraining_is_a_share_of_the_champions_recall() -> None:
    theirs = planted(people(1), 1)
    loss = 0.05 * theirs.mean()
    assert renewed(theirs - 0.9 * loss, theirs)
    assert not renewed(theirs - 1.1 * loss, theirs)
    assert not renewed(theirs, theirs, PromotionConfig(max_loss=0))
    worse, better = np.zeros(40), np.ones(40)
    assert compare("itemknn", worse, better, RULES, renews=True).need == 0.0
    assert renewed(theirs, theirs)  # nobody differs, which is no worse
    assert renewed(worse, worse)  # a champion of 0 has nothing to lose
    assert refused(worse, worse)


def test_the_table_fits_a_terminal() -> None:
    one = compare("champion", np.full(50_000, 0.9), np.zeros(50_000), PromotionConfig(min_gain=0.5))
    one = replace(one, what="version 100")
    found = SimpleNamespace(comparisons=[one, replace(one, what="trial 0", rival="default")])
    shown = lines.gate_table(found)  # type: ignore[arg-type]
    assert max(map(len, shown)) <= 80
    assert shown[1].endswith("+0.9000 (+0.9000..+0.9000)  0.5 yes")


def test_who_is_not_asked_for_is_no_gate() -> None:
    worse, better = np.zeros(40), np.ones(40)
    for rival in ("default", "ease", "popularity"):
        found = compare(rival, worse, better, RULES, "trial 0")
        assert (found.need, found.problem) == (None, None)
        assert judge([found], RULES, 1.0, 1.0) is None
    rules = PromotionConfig(must_beat=("ease",))
    assert compare("champion", worse, better, rules).need is None
    assert judge([], rules, 1.0, 1.0, "the champion cannot be compared: why") is None


def test_the_reason_is_one_sentence_with_all_problems() -> None:
    rules = PromotionConfig(max_model_mb=10, max_latency_ms=2.5)
    found = [compare("itemknn", np.zeros(40), np.ones(40), rules)]
    reason = judge(found, rules, 10.5, 3.0, "the champion (version 3) cannot be compared: why")
    assert reason == (
        "the champion (version 3) cannot be compared: why; its gain over itemknn is -1.0000 with "
        "a 95% interval of -1.0000 to -1.0000, whose lower end must lie above +0.0000; 10.5 MB is "
        "more than max_model_mb = 10; 3 ms is more than max_latency_ms = 2.5"
    )
    assert judge([], rules, 10.0, 2.5) is None


def test_why_the_champion_was_not_compared_stands_first() -> None:
    worse, better = np.zeros(40), np.ones(40)
    rules = PromotionConfig(must_beat=("champion", "itemknn", "popularity"))
    found = [compare(rival, worse, better, rules) for rival in ("itemknn", "popularity")]
    reason = judge(found, rules, 1.0, 1.0, "the champion cannot be compared: why")
    assert reason is not None
    assert reason.startswith("the champion cannot be compared: why; its gain over itemknn is ")


def test_a_baseline_that_was_not_measured_is_never_passed() -> None:
    missing = {"ease": "12,000 items are too many"}
    rules = PromotionConfig(must_beat=("ease",))
    assert judge([], rules, 1.0, 1.0, missing=missing) == (
        "ease stands in must_beat and could not be measured: 12,000 items are too many"
    )
    assert judge([], RULES, 1.0, 1.0, missing=missing) is None  # must_beat does not hold it


def test_ease_is_refused_where_it_cannot_be_asked() -> None:
    rules = PromotionConfig(must_beat=("ease",))
    with pytest.raises(SettingsError, match="must_beat: 'ease' cannot be asked of 10,001 items"):
        check_baselines(rules, 10_001)
    check_baselines(rules, 10_000)
    check_baselines(RULES, 10_000_000)

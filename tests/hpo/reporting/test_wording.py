"""Wording of the first screen, and text that may hold Markdown."""

from __future__ import annotations

import pytest

from hpo.gate.tables import as_markdown
from hpo.reporting.document import Gain
from hpo.reporting.model_comparison import DEFAULT
from hpo.reporting.tables import _conclusion
from hpo.study.trial_rows import TrialRow
from recsys.evaluation.bootstrap import Interval

BEST = TrialRow(3, "COMPLETE", 0.2, {}, {}, 1, 1.0, 0.2, None, None, None, None)
UP, UNCLEAR, DOWN = Interval(0.1, 0.05, 0.15), Interval(0.0, -0.1, 0.1), Interval(-0.2, -0.3, -0.1)


@pytest.mark.parametrize(
    ("default", "told"),
    [
        (UP, "The best trial is clearly better than the default configuration."),
        (UNCLEAR, "The gain over the default configuration is not clear: its interval contains"),
        (DOWN, "Trained again, the best trial is clearly worse than the default configuration."),
    ],
)
def test_a_gain_below_zero_is_not_called_unclear(default: Interval, told: str) -> None:
    first, *_ = _conclusion(BEST, [Gain(DEFAULT, 0.3, default)])
    assert first.startswith(told)


def test_baselines_that_are_better_are_told_apart_from_those_that_may_be() -> None:
    gains = [Gain(DEFAULT, 0.1, UP)]
    gains += [Gain(*each) for each in (("EASE", 0.3, DOWN), ("item-kNN", 0.2, UNCLEAR))]
    assert _conclusion(BEST, gains)[1:] == [
        "Not clearly better than: item-kNN.",
        "Clearly worse than: EASE.",
    ]
    assert _conclusion(BEST, gains[:2])[1:] == ["Clearly worse than: EASE."]
    better = [gains[0], Gain("popularity", 0.1, UP)]
    assert _conclusion(BEST, better)[1:] == ["It is clearly better than every baseline."]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a plain name_1 - x > y", "a plain name_1 - x > y"),
        ("two  blanks ", "two  blanks "),
        ("a\n\n# b\r\n| c", r"a # b \| c"),
        ("# a", r"\# a"),
        ("\n~~~\n", r"\~~~"),
        ("<b>*[x](y)`", r"\<b>\*\[x\](y)\`"),
    ],
)
def test_text_has_no_marks_of_markdown(text: str, shown: str) -> None:
    assert as_markdown(text) == shown

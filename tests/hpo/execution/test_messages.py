"""Messages count in plain English: one row, two rows."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import cast

import pytest
from optuna import create_study
from optuna.trial import TrialState, create_trial

from hpo.config.locations import Locations
from hpo.execution.summary import heading
from hpo.gate.drift import _share
from hpo.gate.race import _no_winner
from hpo.study import Candidate
from hpo.tracking.study_projection import study_line
from recsys.cli.formatting import counts_line, sample_line
from recsys.config import TrainConfig
from recsys.data.splitting import Split
from recsys.retrieval.index import IndexFacts
from recsys.retrieval.requests import Question, RequestError
from tests.support.fake_study import fake_record

NOUNS = "trial|user|item|row|list|probe|epoch|candidate"


@dataclass(frozen=True)
class Rows:
    """The sizes of a data set."""

    n_users: int
    n_items: int
    n_rows: int

    def __len__(self) -> int:
        return self.n_rows


def messages(n: int) -> list[str]:
    """The main messages, each about n of everything."""
    sides = {"n_users": n, "n_items": n, "n_train": n, "n_validation": n, "n_test": n}
    record = replace(fake_record("s", n), counts=sides)
    study = create_study(direction="maximize")
    study.add_trial(create_trial(state=TrialState.COMPLETE, value=0.5))
    split = SimpleNamespace(
        interactions=Rows(n, n, n),
        counts=(n, n, n), method="random", eval_users=n, n_validation_users=n,
    )  # fmt: skip
    with pytest.raises(RequestError) as error:
        Question(history=["i"] * n, times=[])
    return [
        heading(record, n, 0, Locations()),
        study_line(record, study.trials),
        counts_line(cast("Split", split)),
        sample_line(cast("Split", split), 0.5),
        str(IndexFacts(n, n, 0.99, n)),
        str(error.value).partition(";")[0],
        _share("user", n, n),
        _no_winner([Candidate(record, "s", 0, TrainConfig(), 2, 0.5, {})] * n, [""] * n),
    ]


def test_one_is_singular_and_two_are_plural() -> None:
    for text in messages(1):
        assert not re.search(rf"\b1 (test |complete )?({NOUNS})s\b|\b1 user are\b", text), text
    for text in messages(2):
        assert not re.search(rf"\b2 (test |complete )?({NOUNS})\b", text), text
        assert re.search(rf"\b2 (test )?({NOUNS})s\b", text), text

"""Studies on a real Ray cluster whose nodes end at random times."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest
from optuna.trial import TrialState

import hpo
from hpo.study.records import Outcome
from tests.support.commands import shop, study_file, study_in
from tests.support.ray_nodes import Nodes, ray_nodes, two_nodes
from tests.support.tuning import attempt_of

__all__ = ["ray_nodes", "two_nodes"]

N_TRIALS = 6

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("seed", range(10))
def test_a_study_survives_the_end_of_a_node(two_nodes: Nodes, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    victim = draw.choice(two_nodes.ids)
    killer = threading.Timer(draw.uniform(3.0, 12.0), two_nodes.end, [victim])
    killer.start()
    try:
        hpo.tune(
            shop(tmp_path), N_TRIALS, study_file(tmp_path, epochs=150), workers=2, runner="ray",
            storage=tmp_path / "studies/optuna.db", tracking=False, verbose=False,
            settings={"threads": 1, "retries.worker_died": 0},
        )  # fmt: skip
    finally:
        killer.cancel()
        killer.join()
    trials = study_in(tmp_path).trials
    lost = [trial for trial in trials if trial.state is TrialState.FAIL]
    assert {trial.state for trial in trials} <= {
        TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL,
    }  # fmt: skip
    assert len(trials) - len(lost) == N_TRIALS, "the budget is exact"
    for trial in lost:
        outcome = Outcome.of(trial)
        assert outcome is not None
        assert outcome.cause == "interrupted", outcome.message
        assert victim in attempt_of(trial).node
    again = [trial for trial in trials if attempt_of(trial).number > 1]
    assert sorted(attempt_of(trial).origin for trial in again) == [t.number for t in lost]
    for trial in again:
        assert victim not in attempt_of(trial).node, "on a living node"

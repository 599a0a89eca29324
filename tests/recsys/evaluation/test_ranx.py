"""Our metrics against ranx, an evaluation library that knows nothing of ours.

ranx brings numba and ten other packages, so it is no dependency of the tests: `pip install ranx`
to run this one. tests/reference.py is the oracle that always runs.
"""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.splitting import Holdout, split
from recsys.evaluation.evaluator import Evaluator
from tests.recsys.evaluation.test_evaluation import CPU, Table, evaluate
from tests.support import reference
from tests.support.examples import random_log

ranx = pytest.importorskip("ranx", reason="ranx is not installed; pip install ranx")

NAMES = {"mrr": "mrr"} | {
    f"{metric}_at_{k}": f"{metric}@{k}" for metric in ("recall", "ndcg") for k in (5, 10, 20)
}
FURTHER = {
    f"{metric}_at_{k}": f"{metric}@{k}"
    for metric in ("recall", "hit_rate", "precision", "map")
    for k in (3, 100)
}


def judged(scores: np.ndarray, holdout: Holdout, names: dict[str, str]) -> dict[str, float]:
    """What ranx says of the same scores; what a user has seen is not in its run."""
    relevant = reference.relevant_of(holdout)
    seen: dict[int, set[int]] = {}
    for user, item in zip(holdout.seen.users.tolist(), holdout.seen.items.tolist(), strict=True):
        seen.setdefault(user, set()).add(item)
    qrels = {str(user): {str(item): 1 for item in items} for user, items in relevant.items()}
    run = {
        str(user): {
            str(item): float(score)
            for item, score in enumerate(scores[user])
            if item not in seen.get(user, set())
        }
        for user in relevant
    }
    found = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), list(names.values()))
    return {ours: float(found[theirs]) for ours, theirs in names.items()}


@pytest.mark.parametrize("seed", range(3))
def test_all_metrics_equal_those_of_ranx(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log = random_log(rng, n_users=30, n_items=200, n=2000)
    holdout = split(log).tuning
    # No ties: ranx breaks them by position, we count them against the model.
    scores = rng.permuted(np.tile(np.arange(200.0), (log.n_users, 1)), axis=1)[:, : log.n_items]
    found = evaluate(scores, holdout).mean().as_dict()
    assert found == pytest.approx(judged(scores, holdout, NAMES))
    further = Evaluator(holdout, CPU, names=tuple(FURTHER)).evaluate(Table(scores))
    means = {name: values.mean() for name, values in further.values.items()}
    assert means == pytest.approx(judged(scores, holdout, FURTHER))

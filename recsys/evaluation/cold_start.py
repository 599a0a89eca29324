"""Recall on items without training rows and for users without history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from recsys.data import Holdout
from recsys.evaluation.evaluator import Evaluator, ExcludingScorer, TowerScorer
from recsys.messages import count
from recsys.models import Popularity, Scorer, TwoTower

_K = 10
_METRIC = "recall_at_10"


@dataclass(frozen=True)
class ColdRecall:
    """recall@10 on cold items or for cold users.

    Attributes:
        side: "items" or "users".
        n_cold: items or users without a row to learn from.
        n_all: all items or users of the vocabulary.
        n_asked: users that the means cover.
        recall: recall@10 of the model; with side "items" only cold items are relevant, but the
            whole catalogue competes.
        popularity: recall@10 of the popularity baseline on the same users and relevant items.
        among: side "items" only: recall@10 of the model with cold items as the only candidates;
            None if all cold items fit into a list of ten, where every order is right.
        chance: expected value of `among` for a random order; None if `among` is None.
    """

    side: str
    n_cold: int
    n_all: int
    n_asked: int
    recall: float
    popularity: float
    among: float | None = None
    chance: float | None = None

    def line(self) -> str:
        """Return the result as one line of text for people."""
        what = "that nobody trained on" if self.side == "items" else "without history"
        text = (
            f"{self.n_cold:,} of {self.n_all:,} {what}, {count(self.n_asked, 'user')} asked: "
            f"recall@10 {self.recall:.4f} (popularity {self.popularity:.4f})"
        )
        if self.among is None:
            return text
        return f"{text}, among themselves {self.among:.4f} (chance {self.chance:.4f})"


def cold_lines(model: TwoTower, holdout: Holdout, device: torch.device) -> list[str]:
    """Return the results of `cold_recall` as lines that commands print.

    Args:
        model: trained on `holdout.seen`.
        holdout: the history and the relevant items.
        device: device of the evaluation.

    Returns:
        One line per side; empty if there are neither cold items nor cold users to evaluate.
    """
    found = cold_recall(TowerScorer(model, holdout.seen), holdout, device)
    return [f"cold {result.side:6} {result.line()}" for result in found]


def cold_recall(scorer: Scorer, holdout: Holdout, device: torch.device) -> list[ColdRecall]:
    """Return the recall on cold items and for cold users of a holdout.

    Args:
        scorer: scores the whole catalogue from `holdout.seen`.
        holdout: the history and the relevant items.
        device: device of the evaluation.

    Returns:
        At most one result per side; a side without relevant rows has none.
    """
    found = [_cold_items(scorer, holdout, device), _cold_users(scorer, holdout, device)]
    return [result for result in found if result is not None]


def _cold_items(scorer: Scorer, holdout: Holdout, device: torch.device) -> ColdRecall | None:
    """Return the recall on cold items, or None if no relevant item is cold."""
    seen, relevant = holdout.seen, holdout.relevant
    cold = np.bincount(seen.items, minlength=seen.n_items) == 0
    asked = cold[relevant.items]
    if not asked.any():
        return None
    evaluator = Evaluator(Holdout(seen, relevant.take(asked)), device)
    full, popular = _recall(evaluator, scorer), _recall(evaluator, Popularity(seen, device))
    n_cold, among, chance = int(cold.sum()), None, None
    if n_cold > _K:
        warm = torch.as_tensor(np.flatnonzero(~cold)).to(device)
        among, chance = float(_recall(evaluator, ExcludingScorer(scorer, warm)).mean()), _K / n_cold
    return ColdRecall(
        "items",
        n_cold,
        seen.n_items,
        len(full),
        float(full.mean()),
        float(popular.mean()),
        among,
        chance,
    )


def _cold_users(scorer: Scorer, holdout: Holdout, device: torch.device) -> ColdRecall | None:
    """Return the recall for cold users, or None if no user with relevant items is cold."""
    seen, relevant = holdout.seen, holdout.relevant
    cold = np.diff(seen.offsets) == 0
    asked = cold[relevant.users]
    if not asked.any():
        return None
    evaluator = Evaluator(Holdout(seen, relevant.take(asked)), device)
    full, popular = _recall(evaluator, scorer), _recall(evaluator, Popularity(seen, device))
    return ColdRecall(
        "users", int(cold.sum()), seen.n_users, len(full), float(full.mean()), float(popular.mean())
    )


def _recall(evaluator: Evaluator, scorer: Scorer) -> np.typing.NDArray[np.float64]:
    """Return recall@10 of each evaluated user, (m,) float64."""
    return evaluator.evaluate(scorer).values[_METRIC]

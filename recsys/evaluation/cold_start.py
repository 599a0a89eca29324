"""Recall where there is no past: on items that nobody trained on, and for users without history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from recsys.data.split import Holdout
from recsys.evaluation.evaluator import Evaluator, TowerScorer, Without
from recsys.messages import count
from recsys.models.baselines import Popularity
from recsys.models.scorer import Scorer
from recsys.models.two_tower import TwoTower

_K = 10
_METRIC = "recall_at_10"


@dataclass(frozen=True)
class ColdRecall:
    """recall@10 on cold items or of cold users.

    Attributes:
        side: "items" or "users".
        n_cold, n_all: how many of the vocabulary have no row to learn from.
        n_asked: users over whom the means go.
        recall: of the model; for items, only cold ones are asked for, but the whole catalogue
            competes.
        popularity: of popularity on the same question.
        among: items only: the same with cold items as the only candidates; None if they all fit
            into a list of ten, where every order is right.
        chance: the expected value of `among` for a random order; None as `among`.
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
        """For people, on one line."""
        what = "that nobody trained on" if self.side == "items" else "without history"
        text = (
            f"{self.n_cold:,} of {self.n_all:,} {what}, {count(self.n_asked, 'user')} asked: "
            f"recall@10 {self.recall:.4f} (popularity {self.popularity:.4f})"
        )
        if self.among is None:
            return text
        return f"{text}, among themselves {self.among:.4f} (chance {self.chance:.4f})"


def cold_lines(model: TwoTower, holdout: Holdout, device: torch.device) -> list[str]:
    """What commands print of `cold_recall`; empty where everybody and everything is known."""
    found = cold_recall(TowerScorer(model, holdout.seen), holdout, device)
    return [f"cold {result.side:6} {result.line()}" for result in found]


def cold_recall(scorer: Scorer, holdout: Holdout, device: torch.device) -> list[ColdRecall]:
    """What there is to say about cold items and cold users of a holdout; perhaps nothing."""
    found = [_cold_items(scorer, holdout, device), _cold_users(scorer, holdout, device)]
    return [result for result in found if result is not None]


def _cold_items(scorer: Scorer, holdout: Holdout, device: torch.device) -> ColdRecall | None:
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
        among, chance = float(_recall(evaluator, Without(scorer, warm)).mean()), _K / n_cold
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
    return evaluator.evaluate(scorer).values[_METRIC]

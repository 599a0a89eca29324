"""Distillation: a model that also learns what models like it, trained before, expect.

A window shows what one user took next, one sample of what they might have taken. The mean of
several models says more about that, and a single model can learn it (born-again networks,
Furlanello et al., ICML 2018): it answers nearly as well as all of them together, and costs no more
than one to serve. docs/decisions/0013-the-refit-learns-from-teachers.md has the measurements.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from recsys.data import Interactions
from recsys.models import Towers, TwoTower
from recsys.training.cold_start import ColdStartDropout
from recsys.training.losses import Targets, correct_logits
from recsys.training.step import Step

SHARE = 0.8  # share of the loss that comes from the teachers; the rest comes from the targets
BY_ROW = ("recent_items", "whole_items", "users")  # tables of which a step may have some rows only
USER_TABLES = (*BY_ROW, "user_features")  # tables that encode users


class Teachers:
    """Trained models whose mean logits are further targets of a training on the same rows.

    The neighbours of the models do not count, since no model learns them by gradients.

    Args:
        models: trained models of one config, which must not change afterwards; only their user
            tables and item vectors are kept.
        seen: the rows that they were trained on.
    """

    def __init__(self, models: Sequence[TwoTower], seen: Interactions) -> None:
        self._towers = [_user_tower(model) for model in models]
        with torch.no_grad():
            # One product of long vectors gives the mean of all logits.
            self._items = torch.cat([model.item_vectors() for model in models], 1)
            self._bias = torch.stack([model.bias for model in models]).mean(0)
            if seen.item_features is not None:  # no candidates, see cold_start.py
                untrained = ColdStartDropout(seen, self._bias.device).untrained
                self._bias.index_fill_(0, untrained, -torch.inf)

    def targets(self, step: Step) -> Targets:
        """Return the targets of a step, and every candidate as a target of the teachers.

        Args:
            step: a step with `undropped` histories: teachers who see what dropout hides from their
                student have more to tell.
        """
        given = step.targets
        expected = self._probabilities(step).mul_(SHARE * given.mass)
        return dataclasses.replace(given, weights=given.weights * (1 - SHARE), expected=expected)

    @torch.no_grad()
    def _probabilities(self, step: Step) -> Tensor:
        """Return the softmax of the mean logits over the candidates of a step, (b, n) float32."""
        rows = {name: step.rows[name] for name in BY_ROW if name in step.rows}
        users = [self._users(each.part(rows) if rows else each, step) for each in self._towers]
        items, bias = self._items, self._bias
        if (drawn := step.rows.get("items")) is not None:
            items, bias = items[drawn], bias[drawn]
        logits = torch.addmm(bias, torch.cat(users, 1), items.T, alpha=1 / len(self._towers))
        correct_logits(logits, step.targets)
        return torch.softmax(logits, 1)

    @staticmethod
    def _users(towers: Towers, step: Step) -> Tensor:
        """Return the vectors of the users of a step, (b, dim) float32."""
        assert step.undropped is not None
        return towers.user_vectors(step.users, step.undropped, step.lengths)


def _user_tower(model: TwoTower) -> Towers:
    """Return the towers of a model without its items."""
    towers = model.towers()
    tables = {name: table for name, table in towers.tables.items() if name in USER_TABLES}
    return dataclasses.replace(towers, tables=tables, item_bags=None)


def teacher_seeds(seed: int, n: int) -> list[int]:
    """Return the seeds of n teachers of a model with this seed."""
    return [int(word) >> 1 for word in np.random.SeedSequence(seed).generate_state(n)]

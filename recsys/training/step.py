"""One training step: which rows of which tables it touches, and its batch in their numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.training.negatives import Candidates
from recsys.training.windows import Batch

HISTORY_TABLES = ("recent_items", "whole_items")
ITEM_TABLES = ("items", "bias")


@dataclass(frozen=True)
class Step:
    """What the towers and the loss are asked.

    Attributes:
        rows: table -> (r,) int64 rows that the step touches; tables without an entry: all.
        batch: users and items are positions in these rows.
        masked: (m,) int64 positions row * n_candidates + candidate that are no candidates.
        log_share: see `recsys.training.losses.softmax_loss`.
    """

    rows: Mapping[str, Tensor]
    batch: Batch
    masked: Tensor
    log_share: Tensor | None


def over_catalogue(batch: Batch, n_items: int) -> Step:
    """The softmax runs over all items, so every row of every item table moves."""
    masked = batch.history_rows * n_items + batch.history.items
    return Step({}, batch, masked, None)


def over_candidates(batch: Batch, candidates: Candidates, tables: set[str]) -> Step:
    """The softmax runs over `candidates`; only they and the histories move.

    Args:
        tables: names of the item tables that the model has.
    """
    history, positions = torch.unique(batch.history.items, return_inverse=True)
    column, there = candidates.columns(batch.history.items)
    masked = (batch.history_rows * len(candidates.items) + column)[there]
    rows = dict.fromkeys(HISTORY_TABLES, history) | dict.fromkeys(ITEM_TABLES, candidates.items)
    renumbered = dataclasses.replace(
        batch,
        history=dataclasses.replace(batch.history, items=positions),
        target_items=candidates.columns(batch.target_items)[0],
    )
    rows = {name: row for name, row in rows.items() if name in tables}
    return Step(rows, renumbered, masked, candidates.log_share)


def over_users(step: Step) -> Step:
    """The same step, of whose users' table only the batch's rows move."""
    users, positions = torch.unique(step.batch.users, return_inverse=True)
    batch = dataclasses.replace(step.batch, users=positions)
    return dataclasses.replace(step, rows={**step.rows, "users": users}, batch=batch)

"""One training step: the rows it updates in each table, and its batch numbered by these rows."""

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
    """The input of the towers and the loss in one step.

    Attributes:
        rows: table -> (r,) int64 rows that the step updates; a table without an entry is updated
            as a whole.
        batch: users and items are positions in these rows.
        masked: (m,) int64 positions row * n_candidates + candidate that are no candidates.
        log_share: see `recsys.training.losses.softmax_loss`.
    """

    rows: Mapping[str, Tensor]
    batch: Batch
    masked: Tensor
    log_share: Tensor | None


def over_catalogue(batch: Batch, n_items: int) -> Step:
    """Return the step with all items as candidates; it updates every row of every item table.

    Args:
        batch: users and items as positions in the vocabulary.
        n_items: size of the catalogue.
    """
    masked = batch.history_rows * n_items + batch.history.items
    return Step({}, batch, masked, None)


def over_candidates(batch: Batch, candidates: Candidates, tables: set[str]) -> Step:
    """Return the step with drawn candidates; only their rows and those of the histories move.

    Args:
        batch: users and items as positions in the vocabulary.
        candidates: the drawn items, which include the batch's targets.
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
    """Return the same step, restricted to the batch's rows in the table of users."""
    users, positions = torch.unique(step.batch.users, return_inverse=True)
    batch = dataclasses.replace(step.batch, users=positions)
    return dataclasses.replace(step, rows={**step.rows, "users": users}, batch=batch)

"""Adam on tables, updating only the rows that a step touches."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim.adam import adam

Tables = Mapping[str, Tensor]


class TableAdam:
    """Adam (Kingma and Ba 2015) with a constant learning rate, over whole tables or over rows.

    Rows that a step does not touch keep their weights and both their moments ("lazy Adam"), so the
    cost of a step grows with the touched rows alone.

    Args:
        tables: name -> (n, ...) float32 parameters, on one device.
        lr: learning rate.
    """

    def __init__(self, tables: Tables, lr: float) -> None:
        self._tables, self._lr = tables, lr
        self._first = {name: torch.zeros_like(table) for name, table in tables.items()}
        self._second = {name: torch.zeros_like(table) for name, table in tables.items()}
        self._steps = {name: table.new_zeros(()) for name, table in tables.items()}

    def state(self) -> dict[str, Tensor]:
        """Return the moments and step counts by name: the tensors themselves, not copies."""
        parts = {"first": self._first, "second": self._second, "steps": self._steps}
        return {
            f"{part}.{name}": value
            for part, named in parts.items()
            for name, value in named.items()
        }

    @torch.no_grad()
    def step(self, touched: Tables, gradients: Tables, rows: Tables) -> None:
        """Update the tables from the gradients of `touched`.

        Args:
            touched: name -> tensor with a gradient: the table itself, or a copy of its `rows`.
            gradients: name -> gradient of the tensor in `touched`; tables without an entry stay.
            rows: name -> (r,) int64, each row once; a table without an entry is updated as a whole.
        """
        first, second = self._part(self._first, rows), self._part(self._second, rows)
        names = list(gradients)
        adam(
            [touched[name] for name in names],
            list(gradients.values()),
            [first[name] for name in names],
            [second[name] for name in names],
            max_exp_avg_sqs=[],
            state_steps=[self._steps[name] for name in names],
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self._lr,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )
        for name, where in rows.items():
            for whole, part in (
                (self._tables, touched),
                (self._first, first),
                (self._second, second),
            ):
                whole[name].index_copy_(0, where, part[name])

    @staticmethod
    def _part(state: Tables, rows: Tables) -> Tables:
        """Return copies of the given rows of each table; tables without rows are not copied."""
        return {
            name: table.index_select(0, rows[name]) if name in rows else table
            for name, table in state.items()
        }

"""The plan of a training step: what is drawn, and every index that follows from it, on the host.

A device that had to find these indices itself would wait for the sizes of their results, several
times a step. The host knows all lengths, so the device is left with arithmetic alone (`step.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.dlpack import from_dlpack

from recsys.config import TrainConfig
from recsys.data import Floats32, Ints64
from recsys.training.cold_start import ColdStartDropout
from recsys.training.negatives import NegativeSampler, SampledItems
from recsys.training.windows import Batch, Windows


@dataclass(frozen=True)
class Plan:
    """One step in numbers of the rows that it updates.

    Attributes:
        batch: users and items as positions in `rows`.
        rows: "users", "history", "candidates" -> (r,) int64 rows of the tables of users, of history
            items and of candidates that the step updates; tables without an entry are updated as a
            whole.
        order: (h,) int64, history items by their row.
        item_starts: (n,) int64, where in `order` the history items of each row start.
        masked: (m,) int64 positions row * n_candidates + candidate that are no candidates.
        positions: (t,) int64 positions of the targets, likewise.
        mass: (b,) float32, the sum of the weights of each user's targets.
        survives: (h,) float32, 0 for history items that dropout leaves out, else 1.
        log_share: (c,) float32, see `recsys.training.losses.Targets`.
        own: (c,) float32, see `ColdStartDropout.draw`; None without features.
    """

    batch: Batch
    rows: Mapping[str, Ints64]
    order: Ints64
    item_starts: Ints64
    masked: Ints64
    positions: Ints64
    mass: Floats32
    survives: Floats32
    log_share: Floats32 | None
    own: Floats32 | None

    @property
    def size(self) -> int:
        """Return about how many numbers the plan holds."""
        return len(self.order) + len(self.item_starts) + len(self.positions)


class Planner:
    """Draws and plans the steps of a training.

    Args:
        windows: source of the batches.
        config: its `history_dropout` counts.
        n_items: size of the catalogue.
        negatives: source of the candidates; None: the whole catalogue.
        cold_start: draws the items that stand in for new ones; None without item features.
        mask: True if items of a user's history are no candidates for the user.
        users_by_row: True if a step updates its own users' embeddings alone.
    """

    def __init__(
        self,
        windows: Windows,
        config: TrainConfig,
        n_items: int,
        negatives: NegativeSampler | None,
        cold_start: ColdStartDropout | None,
        *,
        mask: bool,
        users_by_row: bool,
    ) -> None:
        self._windows, self._dropout, self._n_items = windows, config.history_dropout, n_items
        self._negatives, self._newcomers = negatives, cold_start
        self._mask, self._users_by_row = mask, users_by_row

    def plans(self, generator: torch.Generator) -> Iterator[Plan]:
        """Yield the plans of one pass.

        The order of the draws is part of a training's numbers: for each batch its windows, its
        candidates, its dropout, its stand-ins.

        Args:
            generator: on the CPU, so that every device draws the same.
        """
        for batch in self._windows.batches(generator):
            drawn = items = own = None
            if self._negatives is not None:
                drawn = self._negatives.draw(batch.target_items, generator)
                items = drawn.items
            noise = np.from_dlpack(torch.rand(len(batch.history_items), generator=generator))
            survives = (noise >= np.float32(self._dropout)).astype(np.float32)
            if self._newcomers is not None:
                own = self._newcomers.draw(items, generator)
            yield self._plan(batch, drawn, survives, own)

    def _plan(
        self, batch: Batch, drawn: SampledItems | None, survives: Floats32, own: Floats32 | None
    ) -> Plan:
        """Return the plan of a batch whose random numbers have all been drawn."""
        rows: dict[str, Ints64] = {}
        if drawn is None:
            n_columns, columns, targets = self._n_items, batch.history_items, batch.target_items
            counts = np.bincount(batch.history_items, minlength=self._n_items)
            item_starts, masked_rows = np.cumsum(counts) - counts, batch.history_rows
        else:
            n_columns, targets = len(drawn.items), drawn.columns(batch.target_items)[0]
            columns, there = drawn.columns(batch.history_items)
            columns, masked_rows = columns[there], batch.history_rows[there]
            history, positions, counts = numbered(batch.history_items)
            item_starts = np.cumsum(counts) - counts
            rows = {"history": history, "candidates": drawn.items}
            batch = dataclasses.replace(batch, history_items=positions)
        if self._users_by_row:
            rows["users"], users = np.unique(batch.users, return_inverse=True)
            batch = dataclasses.replace(batch, users=users)
        mass = np.zeros(len(batch.users), np.float32)
        with np.errstate(over="ignore"):  # the trainer reports a loss that is not finite
            np.add.at(mass, batch.target_rows, batch.target_weights)
        masked = masked_rows * n_columns + columns
        # torch's own order among equal rows: gradients are summed in it, down to the last bit.
        order = torch.argsort(from_dlpack(batch.history_items))
        return Plan(
            dataclasses.replace(batch, target_items=targets),
            rows,
            np.asarray(np.from_dlpack(order), np.int64),
            item_starts,
            masked if self._mask else masked[:0],
            batch.target_rows * n_columns + targets,
            mass,
            survives,
            None if drawn is None else drawn.log_share,
            own,
        )


def numbered(items: Ints64) -> tuple[Ints64, Ints64, Ints64]:
    """Return the distinct items, (r,) ascending, the position of each among them, and their counts.

    Item and place share one number, because numbers are sorted many times as fast as positions.

    Args:
        items: (h,) int64 >= 0.
    """
    bits = len(items).bit_length()
    packed = np.sort((items << bits) | np.arange(len(items)))
    ascending, order = packed >> bits, packed & ((1 << bits) - 1)
    first = np.diff(ascending, prepend=-1) > 0
    positions = np.empty_like(items)
    positions[order] = np.cumsum(first) - 1
    counts = np.diff(np.flatnonzero(first), append=len(items))
    return ascending[first], positions, counts

"""Training steps on the device: plans of several steps arrive together, in two transfers.

All that does not depend on the weights is computed here for many steps at once, because a device
takes longer to be told of a short operation than to do it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recsys.config import TrainConfig
from recsys.data import Floats32, Ints64
from recsys.models import ByItem, History, Pooling, pool_weights, to_device
from recsys.training.losses import Targets
from recsys.training.step_plan import Plan

# Numbers of the plans that go together: some 20 MB on the device.
MOST = 1 << 18
# Rows of a plan -> tables that have them.
TABLES = {
    "history": ("recent_items", "whole_items"),
    "candidates": ("items", "bias"),
    "users": ("users",),
}


@dataclass(frozen=True)
class Step:
    """The input of the towers and the loss in one step.

    Attributes:
        rows: table -> (r,) int64 rows that the step updates; a table without an entry is updated
            as a whole.
        users: (b,) int64.
        lengths: (b,) int64, items of each user's history.
        pooling: the histories after dropout.
        targets: targets and candidates.
        own: (c,) float32, see `recsys.training.cold_start.ColdStartDropout`; None without features.
        undropped: the histories without dropout, for teachers; None without teachers.
    """

    rows: Mapping[str, Tensor]
    users: Tensor
    lengths: Tensor
    pooling: Pooling
    targets: Targets
    own: Tensor | None
    undropped: Pooling | None = None


def groups(
    plans: Iterable[Plan],
    config: TrainConfig,
    device: torch.device,
    *,
    ordered: bool,
    taught: bool = False,
) -> Iterator[list[Step]]:
    """Yield the steps of plans on the device, in groups that arrived there together.

    Args:
        plans: plans in the order of the training.
        config: the shape of the pools.
        device: device of the towers.
        ordered: False if every age counts as 0.
        taught: True if there are teachers, who see the histories without dropout.
    """
    group: list[Plan] = []
    size = 0
    for plan in plans:
        if group and size + plan.size > MOST:
            yield list(_sent(group, config, device, ordered=ordered, taught=taught))
            group, size = [], 0
        group.append(plan)
        size += plan.size
    if group:
        yield list(_sent(group, config, device, ordered=ordered, taught=taught))


def _sent(
    plans: Sequence[Plan],
    config: TrainConfig,
    device: torch.device,
    *,
    ordered: bool,
    taught: bool,
) -> Iterator[Step]:
    """Yield the steps of plans that fit the device together."""
    numbers, values = _Parcel(_numbers(plans), device), _Parcel(_values(plans), device)
    history = _history(numbers, values)
    weights = _weights(plans, history, numbers, values, config, ordered=ordered)
    undropped = _undropped(plans, history, config, ordered=ordered) if taught else None
    mass = values.all("mass").unsqueeze(1).split([len(plan.mass) for plan in plans])
    n = len(plans)
    for i, plan in enumerate(plans):
        recent, whole, *by_item_weights = weights[i::n]
        by_item = ByItem(
            numbers.part("by_item", i), numbers.part("item_starts", i), *by_item_weights
        )
        items, starts = numbers.part("items", i), numbers.part("starts", i)
        yield Step(
            {
                table: numbers.part(f"{name} rows", i)
                for name in plan.rows
                for table in TABLES[name]
                if ordered or table != "whole_items"
            },
            numbers.part("users", i),
            numbers.part("lengths", i),
            Pooling(items, starts, recent, whole, by_item),
            Targets(
                numbers.part("masked", i),
                numbers.part("target rows", i),
                numbers.part("positions", i),
                values.part("target weights", i),
                mass[i],
                None if plan.log_share is None else values.part("log share", i),
            ),
            None if plan.own is None else values.part("own", i),
            None if undropped is None else Pooling(items, starts, undropped[i], undropped[n + i]),
        )


def _numbers(plans: Sequence[Plan]) -> dict[str, list[Ints64]]:
    """Return the integers of plans: name -> an array for each plan.

    "owner" and "order" count users and history items through all plans, the others through their
    own plan.
    """
    batches = [plan.batch for plan in plans]
    users = np.cumsum([0] + [len(batch.users) for batch in batches])
    items = np.cumsum([0] + [len(plan.order) for plan in plans])
    named = {
        "users": [batch.users for batch in batches],
        "lengths": [batch.lengths for batch in batches],
        "starts": [np.cumsum(batch.lengths) - batch.lengths for batch in batches],
        "items": [batch.history_items for batch in batches],
        "owner": [batch.history_rows + users[i] for i, batch in enumerate(batches)],
        "order": [plan.order + items[i] for i, plan in enumerate(plans)],
        "by_item": [plan.batch.history_rows[plan.order] for plan in plans],
        "item_starts": [plan.item_starts for plan in plans],
        "masked": [plan.masked for plan in plans],
        "target rows": [batch.target_rows for batch in batches],
        "positions": [plan.positions for plan in plans],
    }
    return named | {f"{name} rows": [plan.rows[name] for plan in plans] for name in plans[0].rows}


def _values(plans: Sequence[Plan]) -> dict[str, list[Floats32]]:
    """Return the float32 numbers of plans: name -> an array for each plan."""
    named = {
        "ages": [plan.batch.history_ages.astype(np.float32) for plan in plans],
        "survives": [plan.survives for plan in plans],
        "target weights": [plan.batch.target_weights for plan in plans],
        "mass": [plan.mass for plan in plans],
    }
    shares = [plan.log_share for plan in plans if plan.log_share is not None]
    own = [plan.own for plan in plans if plan.own is not None]
    return named | ({"log share": shares} if shares else {}) | ({"own": own} if own else {})


def _history(numbers: _Parcel, values: _Parcel) -> History:
    """Return the histories of all plans, end to end."""
    return History(
        numbers.all("items"),
        numbers.all("starts"),
        values.all("ages"),
        numbers.all("lengths"),
        numbers.all("owner"),
    )


def _undropped(
    plans: Sequence[Plan], history: History, config: TrainConfig, *, ordered: bool
) -> Sequence[Tensor]:
    """Return the weights of both pools without dropout: of each kind, one for each plan."""
    batches = [len(plan.batch.users) for plan in plans]
    weights = torch.cat(pool_weights(history, config, ordered=ordered, batches=batches))
    parts: Sequence[Tensor] = weights.split([len(plan.order) for plan in plans] * 2)
    return parts


def _weights(
    plans: Sequence[Plan],
    history: History,
    numbers: _Parcel,
    values: _Parcel,
    config: TrainConfig,
    *,
    ordered: bool,
) -> Sequence[Tensor]:
    """Return the weights of both pools by user, then by item: of each kind, one for each plan."""
    recent, whole = pool_weights(
        history,
        config,
        ordered=ordered,
        keep=values.all("survives"),
        batches=[len(plan.batch.users) for plan in plans],
    )
    order = numbers.all("order")
    weights = torch.cat([recent, whole, recent[order], whole[order]])
    parts: Sequence[Tensor] = weights.split([len(plan.order) for plan in plans] * 4)
    return parts


class _Parcel:
    """Arrays of one type that go to the device together.

    Args:
        arrays: name -> an array for each step.
        device: where they are needed.
    """

    def __init__(
        self, arrays: Mapping[str, Sequence[Ints64] | Sequence[Floats32]], device: torch.device
    ) -> None:
        sizes = {name: [len(array) for array in each] for name, each in arrays.items()}
        flat = to_device(np.concatenate([a for each in arrays.values() for a in each]), device)
        names, n = list(arrays), len(next(iter(sizes.values())))
        whole = flat.split([sum(each) for each in sizes.values()])
        self._all: dict[str, Tensor] = dict(zip(names, whole, strict=True))
        parts: Sequence[Tensor] = flat.split([size for each in sizes.values() for size in each])
        self._parts = {name: parts[i * n : (i + 1) * n] for i, name in enumerate(names)}

    def all(self, name: str) -> Tensor:
        """Return an array of all steps, end to end."""
        return self._all[name]

    def part(self, name: str, step: int) -> Tensor:
        """Return an array of one step."""
        return self._parts[name][step]

"""The arithmetic of a training, one epoch at a time; `recsys.training.fit` scores the epochs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np
import torch
from torch import Tensor

from recsys.config import TrainConfig
from recsys.data import Interactions
from recsys.errors import DivergedError
from recsys.models import Towers, new_model
from recsys.training.cold_start import ColdStartDropout
from recsys.training.distillation import Teachers
from recsys.training.epoch import AVERAGES_PER_EPOCH
from recsys.training.losses import softmax_loss
from recsys.training.negatives import NegativeSampler, n_negatives
from recsys.training.optimizer import TableAdam
from recsys.training.step import Step, groups
from recsys.training.step_plan import Planner
from recsys.training.windows import Windows

# Update the table of users by row if it has more users than this many batches; in smaller tables
# a whole update is as cheap.
BATCHES_BY_ROW = 16


class Trainer:
    """Optimization of a TwoTower on causal windows.

    Args:
        seen: the interactions to learn from.
        config: all hyperparameters; `epochs` and `patience` belong to `Fit`.
        device: device of the training; the random draws are the same on all devices.
        teachers: trained models of the same config and rows to learn from as well; None: none.

    Attributes:
        model: the running average of the weights.
        epoch: epochs trained so far.
    """

    def __init__(
        self,
        seen: Interactions,
        config: TrainConfig,
        device: torch.device,
        teachers: Teachers | None = None,
    ) -> None:
        self._config, self._device = config, device
        self._generator = torch.Generator().manual_seed(config.seed)
        self._windows = Windows(seen, config)
        self._fast = new_model(seen, config, device)
        self._fast.initialize(self._generator)
        self._newcomers = None if seen.item_features is None else ColdStartDropout(seen, device)
        if self._newcomers:
            self._fast.leave_to_features(self._newcomers.untrained)
        self.model = new_model(seen, config, device)
        self.model.load_state_dict(self._fast.state_dict())
        if self.model.neighbours is not None:
            self.model.neighbours.learn(seen)
        self._teachers = teachers
        self._towers = self._fast.towers()
        self._tables = self._towers.tables
        self._optimizer = TableAdam(self._tables, config.lr)
        many_users = seen.n_users > BATCHES_BY_ROW * config.batch_size
        n_drawn = n_negatives(config, seen.n_items)
        self._planner = Planner(
            self._windows,
            config,
            seen.n_items,
            NegativeSampler(seen, n_drawn) if n_drawn else None,
            self._newcomers,
            mask=seen.repeats == "drop",
            users_by_row=many_users and "users" in self._tables,
        )
        self._average_every = max(1, self._windows.n_batches // AVERAGES_PER_EPOCH)
        self._steps = 0
        self.epoch = 0

    def train_epoch(self) -> float:
        """Train on all users once and return the mean loss of the steps.

        Raises:
            DivergedError: the loss is not finite.
        """
        self.epoch += 1
        losses, n_users = [], []
        for group in self._groups():
            losses.append(torch.stack([self._train(step) for step in group]).detach())
            n_users += [len(step.users) for step in group]
        if not losses:  # nobody has two interactions
            raise DivergedError(self.epoch, 1, math.nan)
        # The only wait for the device: the loss of every step, at the end of the epoch.
        mean = torch.cat(losses).cpu() / torch.tensor(n_users)
        for step, loss in enumerate(mean.tolist(), 1):
            if not math.isfinite(loss):
                raise DivergedError(self.epoch, step, loss)
        return float(np.from_dlpack(mean.mean()))

    def _groups(self) -> Iterator[list[Step]]:
        """Return the steps of the next epoch, as they arrive on the device."""
        plans = self._planner.plans(self._generator)
        ordered, taught = self._fast.ordered, self._teachers is not None
        return groups(plans, self._config, self._device, ordered=ordered, taught=taught)

    def _train(self, step: Step) -> Tensor:
        """Run one optimizer step and return its loss, () float32, summed over the users."""
        towers = self._towers.part(step.rows) if step.rows else self._towers
        loss = self._loss(towers, step)
        gradients = torch.autograd.grad(
            loss, list(towers.tables.values()), _mean(len(step.users), self._device)
        )
        named = dict(zip(towers.tables, gradients, strict=True))
        self._optimizer.step(towers.tables, named, step.rows)
        self._steps += 1
        if self._steps % self._average_every == 0:
            self._average()
        return loss

    def _loss(self, towers: Towers, step: Step) -> Tensor:
        """Return the loss of a step, summed over the users, with stand-ins for new items."""
        if self._newcomers is None or step.own is None:
            vectors, bias = towers.item_vectors(), towers.bias
        else:
            whole = step.targets.log_share is None
            vectors, bias = self._newcomers.candidates(towers, step.own, whole=whole)
        users = towers.user_vectors(step.users, step.pooling, step.lengths)
        targets = step.targets if self._teachers is None else self._teachers.targets(step)
        return softmax_loss(users, vectors, bias, targets)

    def state(self) -> dict[str, Tensor]:
        """Return all tensors that the next epoch depends on, by name, not copied."""
        return {
            **{f"fast.{name}": value for name, value in self._tables.items()},
            **{f"slow.{name}": value for name, value in self.model.named_parameters()},
            **{f"adam.{name}": value for name, value in self._optimizer.state().items()},
            "generator": self._generator.get_state(),
            "counts": torch.tensor([self.epoch, self._steps]),
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a `state`, with the same numbers as without an interruption.

        Raises:
            ValueError: a tensor is missing or has another shape than in this training.
        """
        mine = self.state()
        for name, value in mine.items():
            if name not in state or state[name].shape != value.shape:
                raise ValueError(f"no {name} of shape {tuple(value.shape)}")
        for name, value in mine.items():
            value.copy_(state[name])
        self._generator.set_state(state["generator"].cpu())
        self.epoch, self._steps = (int(count) for count in state["counts"])

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights, farther in early steps so that initial weights fade."""
        since = range(self._steps - self._average_every + 1, self._steps + 1)
        decay = math.prod(min(self._config.average, step / (step + 5)) for step in since)
        slow: list[Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(slow, list(self._tables.values()), 1 - decay)


@cache
def _mean(n_users: int, device: torch.device) -> Tensor:
    """Return 1 / n_users, () float32: the gradient of a mean over users."""
    return torch.tensor(1 / n_users, device=device)

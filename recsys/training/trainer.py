"""The arithmetic of a training, one epoch at a time; `recsys.training.fit` scores the epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.errors import DivergedError
from recsys.models.two_tower import TwoTower, new_model
from recsys.training.cold_start import Newcomers
from recsys.training.losses import softmax_loss
from recsys.training.negatives import NegativeSampler, n_negatives
from recsys.training.optimizer import TableAdam
from recsys.training.step import Step, over_candidates, over_catalogue, over_users
from recsys.training.windows import Batch, Windows

# Update the table of users by row if it has more users than this many batches; in smaller tables
# a whole update is as cheap.
BATCHES_BY_ROW = 16
AVERAGES_PER_EPOCH = 8  # few, since averaging reads all tables


class Trainer:
    """Optimization of a TwoTower on causal windows.

    Args:
        seen: the interactions to learn from.
        config: all hyperparameters; `epochs` and `patience` belong to `Fit`.
        device: device of the training; the random draws are the same on all devices.

    Attributes:
        model: the running average of the weights.
        epoch: epochs trained so far.
    """

    def __init__(self, seen: Interactions, config: TrainConfig, device: torch.device) -> None:
        self._config, self._device = config, device
        self._generator = torch.Generator().manual_seed(config.seed)
        self._windows = Windows(seen, config, device)
        self._mask = seen.repeats == "drop"
        self._fast = new_model(seen, config, device)
        self._fast.initialize(self._generator)
        self._newcomers = None if seen.item_features is None else Newcomers(seen, device)
        if self._newcomers:
            self._fast.leave_to_features(self._newcomers.untrained)
        self.model = new_model(seen, config, device)
        self.model.load_state_dict(self._fast.state_dict())
        if self.model.neighbours is not None:
            self.model.neighbours.learn(seen)
        self._tables = dict(self._fast.named_parameters())
        self._optimizer = TableAdam(self._tables, config.lr)
        many_users = seen.n_users > BATCHES_BY_ROW * config.batch_size
        self._users_by_row = many_users and "users" in self._tables
        n_drawn = n_negatives(config, seen.n_items)
        self._negatives = NegativeSampler(seen, n_drawn, device) if n_drawn else None
        self._average_every = max(1, self._windows.n_batches // AVERAGES_PER_EPOCH)
        self._steps = 0
        self.epoch = 0

    def train_epoch(self) -> float:
        """Train on all users once and return the mean loss of the steps.

        Raises:
            DivergedError: the loss is not finite.
        """
        self.epoch += 1
        losses = [self._train(batch) for batch in self._windows.batches(self._generator)]
        total = torch.stack(losses)
        if not torch.isfinite(total).all():
            step = int(torch.nonzero(~torch.isfinite(total))[0])
            raise DivergedError(self.epoch, step + 1, float(total[step]))
        return float(total.mean())

    def _train(self, batch: Batch) -> Tensor:
        """Run one optimizer step on the batch and return its loss, () float32."""
        step = self._step(batch)
        touched = self._fast.part(step.rows) if step.rows else self._fast
        loss = self._loss(touched, step)
        loss.backward()
        self._optimizer.step(dict(touched.named_parameters()), step.rows)
        self._steps += 1
        if self._steps % self._average_every == 0:
            self._average()
        return loss.detach()

    def _step(self, batch: Batch) -> Step:
        """Return the batch with its candidates and the rows that it updates."""
        if self._negatives is None:
            step = over_catalogue(batch, self._fast.n_items)
        else:
            drawn = self._negatives.draw(batch.target_items, self._generator)
            step = over_candidates(batch, drawn, set(self._tables))
        return over_users(step) if self._users_by_row else step

    def _loss(self, towers: TwoTower, step: Step) -> Tensor:
        """Return the loss of a step, with dropout of history items and stand-ins for new items."""
        history = step.batch.history
        keep = torch.rand(len(history.items), generator=self._generator)
        keep = (keep >= self._config.history_dropout).float().to(self._device)
        if self._newcomers:
            vectors, bias = self._newcomers.candidates(towers, step.rows, self._generator)
        else:
            vectors, bias = towers.item_vectors(), towers.bias
        return softmax_loss(
            towers.user_vectors(step.batch.users, history, keep),
            vectors,
            bias,
            step.masked if self._mask else step.masked[:0],
            step.batch.target_rows,
            step.batch.target_items,
            step.batch.target_weights,
            step.log_share,
        )

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

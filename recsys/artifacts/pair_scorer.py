"""The model in the form torch users expect: pairs in, scores out; small enough to be exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recsys.data import Interactions
from recsys.evaluation import Histories, encode_users
from recsys.models import TwoTower

PART = 65_536  # users whose histories are gathered at once


class PairScorer(nn.Module):
    """A scorer of (user, item) pairs made of tensors alone.

    score = <user vector, item vector> + item bias + gain from the neighbours of the user's items.
    `mlflow.pytorch` stores the scorer as a graph (pt2) without our code.

    Attributes:
        user_vectors: (n_users, dim) float32.
        item_vectors: (n_items, dim) float32.
        bias: (n_items,) float32.
        asking_items: (n_users, q) int64, history items whose neighbours gain in the user's scores.
        asking_weights: (n_users, q) float32, 0 where a user has fewer items.
        neighbours: (n_items, K) int32; K = 0 if the model has no neighbours.
        nearness: (n_items, K) float32.
    """

    user_vectors: Tensor
    item_vectors: Tensor
    bias: Tensor
    asking_items: Tensor
    asking_weights: Tensor
    neighbours: Tensor
    nearness: Tensor

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        for name in PairScorer.__annotations__:
            self.register_buffer(name, tensors[name])

    @classmethod
    @torch.no_grad()
    def of(cls, model: TwoTower, history: Interactions) -> PairScorer:
        """Return the scorer of `model` for users with this history, on the CPU.

        Args:
            model: a trained model.
            history: the histories of all users.
        """
        tensors = {
            "user_vectors": encode_users(model, history),
            "item_vectors": model.item_vectors(),
            "bias": model.bias.detach(),
            **_neighbours(model, history),
        }
        return cls({name: tensor.cpu().clone() for name, tensor in tensors.items()})

    def forward(self, pairs: Tensor) -> Tensor:
        """Return the scores (n,) float32 of pairs (n, 2) int64 of user and item positions."""
        users, items = pairs[:, 0], pairs[:, 1]
        scores = (self.user_vectors[users] * self.item_vectors[items]).sum(1) + self.bias[items]
        asking = self.asking_items[users]  # (n, q)
        there = self.neighbours[asking] == items[:, None, None]  # (n, q, K)
        said = (there * self.nearness[asking]).sum(2)
        return scores + (said * self.asking_weights[users]).sum(1)


def _neighbours(model: TwoTower, history: Interactions) -> dict[str, Tensor]:
    """Return the tensors of the neighbours' part of the score; of width 0 if the model has none."""
    if model.neighbours is None:
        none = torch.zeros(history.n_items, 0)
        nobody = torch.zeros(history.n_users, 0)
        items, nearness, rows, weights = none.int(), none, nobody.long(), nobody
    else:
        items, nearness = model.neighbours.items, model.neighbours.nearness
        histories, everybody = Histories(model, history), torch.arange(history.n_users)
        parts = [
            (users[0] + owner, asked, weight)
            for users in everybody.to(items.device).split(PART)
            for owner, asked, weight in (model.neighbour_queries(histories.of(users)),)
        ]
        owner, asked, weight = (torch.cat(column) for column in zip(*parts, strict=True))
        heard = nearness[asked, 0] > 0  # nearness descends, so other items have no neighbours
        owner, asked, weight = owner[heard], asked[heard], weight[heard]
        counts = torch.bincount(owner, minlength=history.n_users)
        place = torch.arange(len(owner), device=owner.device)
        place -= (torch.cumsum(counts, 0) - counts)[owner]
        width = int(counts.max()) if len(counts) else 0
        rows = torch.zeros(history.n_users, width, dtype=torch.int64, device=owner.device)
        weights = torch.zeros(history.n_users, width, device=owner.device)
        rows[owner, place], weights[owner, place] = asked, weight
    return {
        "asking_items": rows,
        "asking_weights": weights,
        "neighbours": items,
        "nearness": nearness,
    }

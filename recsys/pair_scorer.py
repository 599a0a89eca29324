"""The model as torch users expect it: pairs in, scores out; small enough to be exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recsys.evaluation import encode_users
from recsys.interactions import Interactions
from recsys.model import TwoTower


class PairScorer(nn.Module):
    """score = <user vector, item vector> + item bias, from precomputed vectors.

    Holds tensors only, so `mlflow.pytorch` stores it as a graph (pt2) without our code.
    """

    user_vectors: Tensor
    item_vectors: Tensor
    bias: Tensor

    def __init__(self, user_vectors: Tensor, item_vectors: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("user_vectors", user_vectors)
        self.register_buffer("item_vectors", item_vectors)
        self.register_buffer("bias", bias)

    @classmethod
    def of(cls, model: TwoTower, history: Interactions) -> PairScorer:
        """The scores of `model` for users with this history, on the CPU."""
        with torch.no_grad():
            vectors = encode_users(model, history), model.item_vectors(), model.bias.detach()
            return cls(*(tensor.cpu().clone() for tensor in vectors))

    def forward(self, pairs: Tensor) -> Tensor:
        """(n,) float32 scores of (n, 2) int64 pairs of user and item positions."""
        users, items = pairs[:, 0], pairs[:, 1]
        return (self.user_vectors[users] * self.item_vectors[items]).sum(1) + self.bias[items]

"""TableAdam against torch's own Adam and SparseAdam."""

from __future__ import annotations

import torch

from recsys.training.optimizer import TableAdam


def tables() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {"a": torch.randn(7, 3, generator=draw), "b": torch.randn(5, generator=draw)}


def gradients(step: int) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(step)
    return {"a": torch.randn(7, 3, generator=draw), "b": torch.randn(5, generator=draw)}


def test_whole_tables_equal_adam() -> None:
    ours, theirs = tables(), tables()
    adam = torch.optim.Adam(theirs.values(), lr=0.1, fused=True)
    optimizer = TableAdam(ours, lr=0.1)
    for step in range(5):
        for name, gradient in gradients(step).items():
            theirs[name].grad = gradient.clone()
        optimizer.step(ours, gradients(step), {})
        adam.step()
    for name in ours:
        assert torch.equal(ours[name], theirs[name])


def test_rows_equal_sparse_adam_and_the_others_stay() -> None:
    ours, theirs = tables(), tables()
    adam = torch.optim.SparseAdam([theirs["a"]], lr=0.1)
    optimizer = TableAdam(ours, lr=0.1)
    for step in range(5):
        rows = torch.tensor([[1, 4], [4, 6], [2, 3], [1, 2], [4, 5]][step])
        gradient = gradients(step)["a"][rows]
        part = ours["a"][rows]
        optimizer.step({"a": part}, {"a": gradient}, {"a": rows})
        theirs["a"].grad = torch.sparse_coo_tensor(
            rows[None], gradient, (7, 3), check_invariants=True
        )
        adam.step()
    torch.testing.assert_close(ours["a"], theirs["a"])
    assert torch.equal(ours["a"][0], tables()["a"][0])

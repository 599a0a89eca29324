"""The fused softmax against the textbook one, values and gradients."""

from __future__ import annotations

import pytest
import torch

from recsys.training.losses import Targets, softmax_loss


def case(seed: int = 0) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {
        "users": torch.randn(4, 3, generator=draw, dtype=torch.float64),
        "items": torch.randn(6, 3, generator=draw, dtype=torch.float64),
        "bias": torch.randn(6, generator=draw, dtype=torch.float64),
        "masked": torch.tensor([0 * 6 + 5, 2 * 6 + 0, 2 * 6 + 1]),
        "rows": torch.tensor([0, 0, 1, 2, 2, 2]),
        "targets": torch.tensor([0, 1, 5, 2, 3, 2]),
        "weights": torch.rand(6, generator=draw, dtype=torch.float64),
    }


def expectations(values: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return weights of all candidates as targets, 0 for those masked."""
    weights = torch.rand(4, 6, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    weights.view(-1)[values["masked"]] = 0
    return weights


def ours_of(
    values: dict[str, torch.Tensor],
    log_share: torch.Tensor | None = None,
    expected: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the loss of a case as a mean over its users."""
    rows, weights = values["rows"], values["weights"]
    mass = torch.zeros(4, 1, dtype=weights.dtype).index_add_(0, rows, weights[:, None])
    if expected is not None:
        mass = mass + expected.sum(1, keepdim=True)
    positions = rows * len(values["items"]) + values["targets"]
    targets = Targets(values["masked"], rows, positions, weights, mass, log_share, expected)
    return softmax_loss(values["users"], values["items"], values["bias"], targets) / 4


def textbook(values: dict[str, torch.Tensor], expected: torch.Tensor | None = None) -> torch.Tensor:
    logits = values["users"] @ values["items"].T + values["bias"]
    mask = torch.zeros(logits.numel(), dtype=torch.bool)
    mask[values["masked"]] = True
    logits = logits.masked_fill(mask.view_as(logits), -torch.inf)
    log_probability = torch.log_softmax(logits, 1)
    chosen = log_probability[values["rows"], values["targets"]]
    total = (values["weights"] * chosen).sum()
    if expected is not None:
        total = total + (expected * log_probability.masked_fill(mask.view_as(logits), 0)).sum()
    return -total / len(values["users"])


@pytest.mark.parametrize("with_teachers", [False, True])
def test_value_and_gradients_equal_the_textbook(with_teachers: bool) -> None:
    ours, theirs = case(), case()
    for values in (ours, theirs):
        for name in ("users", "items", "bias"):
            values[name].requires_grad_()
    expected = expectations(ours) if with_teachers else None
    loss, wanted = ours_of(ours, expected=expected), textbook(theirs, expected)
    torch.testing.assert_close(loss, wanted)
    (3 * loss).backward()
    (3 * wanted).backward()
    for name in ("users", "items", "bias"):
        torch.testing.assert_close(ours[name].grad, theirs[name].grad)


def test_it_can_be_differentiated_once() -> None:
    values = case(1)
    loss = ours_of({**values, "users": values["users"].requires_grad_()})
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_each_candidate_counts_once_for_every_chance_it_had_to_be_absent() -> None:
    ours, theirs = case(2), case(2)
    share = torch.tensor([0.5, 1.0, 0.25, 0.1, 1.0, 0.9], dtype=torch.float64)
    loss = ours_of(ours, share.log())

    logits = theirs["users"] @ theirs["items"].T + theirs["bias"]
    counts = (1 / share).repeat(4, 1)
    counts[theirs["rows"], theirs["targets"]] = 1  # a row's own targets are always there
    counts.view(-1)[theirs["masked"]] = 0
    total = (counts * logits.exp()).sum(1)
    chosen = logits[theirs["rows"], theirs["targets"]]
    expected = (theirs["weights"] * (total.log()[theirs["rows"]] - chosen)).sum() / 4
    torch.testing.assert_close(loss, expected)


def test_a_certain_draw_is_the_whole_softmax() -> None:
    certain = ours_of(case(3), torch.zeros(6, dtype=torch.float64))
    torch.testing.assert_close(certain, ours_of(case(3)))

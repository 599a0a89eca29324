"""Bags of codes against a loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.data.features import Features
from recsys.models.feature_bags import Bags

FEATURES = Features(
    np.array([0, 2, 1, 0, 1, 2], np.int32), np.array([0, 2, 2, 3, 6]), ("a", "b"), (1, 2)
)
TABLE = torch.tensor([[1.0, 0.0], [0.0, 2.0], [4.0, 4.0]])


def by_loop(row: int) -> torch.Tensor:
    codes = FEATURES.codes[FEATURES.offsets[row] : FEATURES.offsets[row + 1]]
    total = torch.zeros(2)
    for code in codes:
        total += TABLE[code] / len(codes) ** 0.5
    return total


def test_sums_and_parts_of_them() -> None:
    bags = Bags.of(FEATURES)
    rows = torch.tensor([3, 1, 0, 3])
    torch.testing.assert_close(bags.sums(TABLE), torch.stack([by_loop(i) for i in range(4)]))
    torch.testing.assert_close(
        bags.take(rows).sums(TABLE), torch.stack([by_loop(int(i)) for i in rows])
    )
    assert bags.state_dict() == {}


def test_round_trip_and_damage() -> None:
    columns, facts = FEATURES.to_columns("x"), FEATURES.facts()
    again = Features.from_columns("x", columns, facts)
    assert (again.columns, again.sizes, again.n_codes) == (("a", "b"), (1, 2), 3)
    assert (again.codes == FEATURES.codes).all()
    for damage in (
        {"x.codes": FEATURES.codes + 1},
        {"x.codes": FEATURES.codes[1:]},
        {"x.offsets": FEATURES.offsets[::-1]},
        {"x.offsets": FEATURES.offsets[:0]},
    ):
        with pytest.raises(ValueError, match="x: codes and offsets do not fit"):
            Features.from_columns("x", {**columns, **damage}, facts)

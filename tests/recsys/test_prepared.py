"""The file that workers read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.errors import CheckpointError
from recsys.prepared import load_holdout, save_holdout
from recsys.split import split
from tests.examples import random_log


@pytest.mark.parametrize("timed", [True, False])
def test_round_trip_without_ids(tmp_path: Path, timed: bool) -> None:
    holdout = split(random_log(np.random.default_rng(0), timed=timed)).tuning
    save_holdout(tmp_path / "data", holdout)
    loaded = load_holdout(tmp_path / "data")
    for before, after in ((holdout.seen, loaded.seen), (holdout.relevant, loaded.relevant)):
        assert (before.users == after.users).all()
        assert (before.items == after.items).all()
        assert (before.times == after.times).all() if timed else after.times is None
        assert (before.n_users, before.n_items) == (after.n_users, after.n_items)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match="data: no prepared training data"):
        load_holdout(path)

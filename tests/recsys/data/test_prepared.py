"""The file that workers read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.data.holdout_file import load_holdout, save_holdout
from recsys.data.splitting import split
from recsys.errors import CheckpointError
from tests.support.examples import aisles, random_log


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


def test_features_travel_along(tmp_path: Path) -> None:
    holdout = split(aisles()).tuning
    save_holdout(tmp_path / "data", holdout)
    loaded = load_holdout(tmp_path / "data")
    before, after = holdout.seen.item_features, loaded.seen.item_features
    assert before is not None
    assert after is not None
    assert (before.codes == after.codes).all()
    assert (before.columns, before.sizes) == (after.columns, after.sizes)
    assert loaded.relevant.user_features is loaded.seen.user_features
    assert loaded.seen.user_features is not None


def test_columns_are_the_file_itself(tmp_path: Path) -> None:
    save_holdout(tmp_path / "data", split(random_log(np.random.default_rng(0))).tuning)
    seen = load_holdout(tmp_path / "data").seen
    assert not seen.items.flags.owndata
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(tmp_path / "data") in maps.read_text()
    assert (seen.user_ids[1], seen.user_ids[:2], len(seen.user_ids)) == ("1", ("0", "1"), 40)
    assert list(seen.item_ids)[-1] == str(seen.n_items - 1)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match="data: no prepared training data"):
        load_holdout(path)

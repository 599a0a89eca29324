"""Dense vectors of items: read, projected, stored; new items that only content can reach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from recsys.artifacts.checkpoint import load, save
from recsys.config import TrainConfig
from recsys.data.dataset import Dataset
from recsys.data.features import Features
from recsys.data.holdout_file import load_holdout, save_holdout
from recsys.data.interactions import Interactions
from recsys.data.splitting import Holdout
from recsys.datasets.features import with_features
from recsys.datasets.vectors import WIDEST, as_vectors
from recsys.errors import DataError
from recsys.evaluation.cold_start import cold_recall
from recsys.evaluation.evaluator import TowerScorer
from recsys.models.feature_bags import Bags
from recsys.models.size import model_mb
from recsys.readers.reader import read_dataset
from recsys.training.fit import Fit

CPU = torch.device("cpu")
CONFIG = TrainConfig(dim=16, lr=0.03, epochs=12, neighbour_weight=0)
TASTES, PLACES = 12, 24


def shop(*, informed: bool = True) -> Dataset:
    """Users buy what their taste likes; nobody has trained on the last 60 of 240 items.

    An item's taste shows in its vector alone, in a mixture of all its numbers; not `informed`, the
    vectors are noise.
    """
    rng = np.random.default_rng(0)
    taste = np.arange(240) % TASTES
    centres = rng.normal(size=(TASTES, PLACES))
    vectors = centres[taste] * informed + 0.3 * rng.normal(size=(240, PLACES)) + 5
    users, items, times = [], [], []
    for user in range(300):
        liked = np.flatnonzero(taste == user % TASTES)
        old, new = liked[liked < 180], liked[liked >= 180]
        chosen = [*rng.permutation(old)[:8], *rng.permutation(new)[:2]]
        users += [user] * 10
        items += chosen
        times += range(10)
    ids = [f"i{item}" for item in range(240)]
    rows = Interactions.from_codes(
        np.array(users), np.array(items), np.array(times), None, [str(u) for u in range(300)], ids
    )
    table = pl.DataFrame({"item_id": ids[::-1], "text": vectors[::-1].tolist()})
    return with_features(Dataset("shop", rows, None, table), items=["text"], users=[])


def parts(dataset: Dataset) -> Holdout:
    rows = dataset.interactions
    seen = rows.items < 180
    return Holdout(rows.take(seen), rows.take(~seen))


def trained(holdout: Holdout) -> Fit:
    fit = Fit(holdout, CONFIG)
    assert len(list(fit)) == CONFIG.epochs
    return fit


def test_new_items_are_reached_by_their_content() -> None:
    """60 new items of 12 tastes, 5 of each: a perfect order among themselves has recall 1."""
    holdout = parts(shop())
    cold, *_ = cold_recall(TowerScorer(trained(holdout).model, holdout.seen), holdout, CPU)
    assert (cold.n_cold, cold.n_asked) == (60, 300)
    assert cold.chance == pytest.approx(10 / 60)
    assert cold.among is not None
    assert cold.among > 0.95
    noise = parts(shop(informed=False))
    blind, *_ = cold_recall(TowerScorer(trained(noise).model, noise.seen), noise, CPU)
    assert blind.among is not None
    assert blind.among < 0.35


def test_a_model_answers_bit_for_bit_after_loading(tmp_path: Path) -> None:
    holdout = parts(shop())
    model = trained(holdout).model
    save(tmp_path, model, holdout.seen, {})
    again = load(tmp_path, CPU)
    stored = again.history.item_features
    assert stored is not None and holdout.seen.item_features is not None
    assert (stored.vector_columns, stored.widths) == (("text",), (PLACES,))
    users = torch.arange(300)
    before = TowerScorer(model, holdout.seen).scores(users)
    assert torch.equal(before, TowerScorer(again.model, again.history).scores(users))
    assert model.item_features is not None
    assert model.item_features.shape == (PLACES, CONFIG.dim)
    files = ("item_vecs.npy", "user_vecs.npy", "weights.safetensors")
    written = sum((tmp_path / name).stat().st_size for name in files)
    assert model_mb(holdout.seen, CONFIG) == pytest.approx(written / 1e6, rel=0.05)


def test_workers_read_the_vectors(tmp_path: Path) -> None:
    holdout = parts(shop())
    save_holdout(tmp_path / "holdout.safetensors", holdout)
    again = load_holdout(tmp_path / "holdout.safetensors").seen.item_features
    assert again is not None and again.vectors is not None
    assert holdout.seen.item_features is not None
    np.testing.assert_array_equal(again.vectors, holdout.seen.item_features.vectors)


def test_sums_are_bags_plus_projection_by_hand() -> None:
    vectors = np.array([[1, 2], [0, 0], [-1, 0.5]], np.float32)
    codes, offsets = np.array([0, 1, 1], np.int32), np.array([0, 2, 2, 3])
    features = Features(codes, offsets, ("a",), (2,), vectors, ("v",), (2,))
    table = torch.randn(features.n_embeddings, 5, generator=torch.Generator().manual_seed(0))
    expected = torch.as_tensor(vectors) @ table[2:]
    expected[0] += (table[0] + table[1]) / 2**0.5
    expected[2] += table[1]
    bags = Bags.of(features)
    torch.testing.assert_close(bags.sums(table), expected)
    torch.testing.assert_close(bags.take(torch.tensor([2, 0])).sums(table), expected[[2, 0]])
    assert features.describe() == "a (2), v (vectors of 2 numbers); 2 of 3 have some"
    facts, columns = features.facts(), features.to_columns("x")
    again = Features.from_columns("x", columns, facts)
    assert again.facts() == facts
    with pytest.raises(ValueError, match="vectors and offsets do not fit"):
        Features.from_columns("x", {**columns, "x.vectors": vectors[:2]}, facts)


def test_parquet_beside_the_interactions(tmp_path: Path) -> None:
    rows = pl.DataFrame({"user_id": list("aabbcc"), "item_id": list("xyyzzx")})
    rows.write_csv(tmp_path / "interactions.csv")
    cells = [[1.0, 0.0, 2.0], None, [0.0, 1.0, 0.0]]
    items = pl.DataFrame({"item_id": list("xyz"), "embedding": cells, "kind": ["p", "q", "p"]})
    items.write_parquet(tmp_path / "items.parquet")
    data = with_features(read_dataset(tmp_path), items=["embedding", "kind"], users=[])
    found = data.interactions.item_features
    assert found is not None and found.vectors is not None
    assert (found.columns, found.vector_columns, found.widths) == (("kind",), ("embedding",), (3,))
    by_id = dict(zip(data.interactions.item_ids, found.vectors.tolist(), strict=True))
    assert by_id["y"] == [0, 0, 0]
    np.testing.assert_allclose(by_id["x"], -np.array(by_id["z"]), rtol=1e-6)
    assert np.square(found.vectors).sum() == pytest.approx(2)  # of mean squared length 1


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([[1.0, 2.0], [1.0]], "its vectors have lengths 1, 2; give vectors of one length"),
        ([[1.0], [2.0]], "have lengths 1"),
        ([[0.0] * (WIDEST + 1)] * 2, "have lengths 4,097"),
        ([None, None], "have lengths none"),
        ([[1.0, float("nan")], [1.0, 2.0]], "1 of 2 vectors hold something that is no finite"),
        ([[1.0, 2.0], [1.0, 2.0]], "all items have the same vector"),
    ],
)
def test_wrong_vectors_are_refused(cells: list[list[float] | None], expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        as_vectors(pl.Series("v", cells, dtype=pl.List(pl.Float64)))


def test_users_have_no_vectors_and_words_are_none() -> None:
    rows = Interactions.from_ids(list("aab"), list("xyx"))
    users = pl.DataFrame({"user_id": ["a", "b"], "face": [[0.1, 0.2], [0.3, 0.4]]})
    items = pl.DataFrame({"item_id": ["x", "y"], "word": ["p", "q"]})
    data = Dataset("d", rows, users, items)
    with pytest.raises(DataError) as caught:
        with_features(data, items=["word:vector"], users=["face"])
    assert "item feature 'word': is of type String, not lists of numbers" in str(caught.value)
    assert "user feature 'face': vectors describe items only" in str(caught.value)

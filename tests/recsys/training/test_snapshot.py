"""A training that was put aside goes on as if nothing had happened."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from recsys.config import TrainConfig
from recsys.data.splitting import Holdout, split
from recsys.errors import CheckpointError
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from recsys.training.fit import Fit
from recsys.training.snapshot import KEY
from tests.support.examples import random_log

CPU = torch.device("cpu")
SMALL = TrainConfig(dim=16, lr=0.03, epochs=6, batch_size=8, average=0.8, patience=30)
CONFIGS = {
    "plain": SMALL,
    "drawn negatives": SMALL.replace(negatives=10),
    "user table": SMALL.replace(user_weight=0.5),
    "no average": SMALL.replace(average=0.0),
}


def holdout(*, timed: bool = True) -> Holdout:
    return split(random_log(np.random.default_rng(0), timed=timed)).tuning


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("kind", CONFIGS)
def test_it_goes_on_bit_for_bit(tmp_path: Path, kind: str, timed: bool) -> None:
    config, data, path = CONFIGS[kind], holdout(timed=timed), tmp_path / "parked"
    whole = list(uninterrupted := Fit(data, config, CPU))
    for parked_after in (1, 4, 6):
        first = Fit(data, config, CPU)
        before = list(islice(first, parked_after))
        first.save(path)
        second = Fit(data, config, CPU)
        second.resume(path)
        after = list(second)
        assert after[:parked_after] == before
        numbers = [(r.epoch, r.train_loss, r.metrics) for r in after]
        assert numbers == [(r.epoch, r.train_loss, r.metrics) for r in whole]
        assert second.best is not None
        assert uninterrupted.best is not None
        assert second.best.metrics == uninterrupted.best.metrics
        for name, weights in uninterrupted.model.state_dict().items():
            assert torch.equal(weights, second.model.state_dict()[name]), name


def test_it_goes_on_from_before_a_hyperparameter(tmp_path: Path) -> None:
    data, path = holdout(), tmp_path / "parked"
    first = Fit(data, SMALL, CPU)
    next(iter(first))
    first.save(path)
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()[KEY])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del facts["config"]["walk_alpha"]
    save_file(state, path, {KEY: json.dumps(facts)})
    second = Fit(data, SMALL, CPU)
    second.resume(path)
    assert [each.train_loss for each in second] == [
        each.train_loss for each in Fit(data, SMALL, CPU)
    ]


def test_patience_counts_on(tmp_path: Path) -> None:
    config, data, path = SMALL.replace(epochs=200, patience=3), holdout(), tmp_path / "parked"
    whole = list(Fit(data, config, CPU))
    first = Fit(data, config, CPU)
    assert len(list(islice(first, len(whole) - 1))) == len(whole) - 1
    first.save(path)
    second = Fit(data, config, CPU)
    second.resume(path)
    assert len(list(second)) == len(whole)


def test_nothing_to_put_aside_before_the_first_epoch(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="before the first epoch"):
        Fit(holdout(), SMALL, CPU).save(tmp_path / "parked")


def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path, data = tmp_path / "parked", holdout()
    first = Fit(data, SMALL, CPU)
    next(iter(first))
    first.save(path)
    with pytest.raises(CheckpointError, match="another config"):
        Fit(data, SMALL.replace(lr=0.02), CPU).resume(path)
    smaller = split(random_log(np.random.default_rng(1))).tuning
    if smaller.seen.n_items != data.seen.n_items:
        other = Fit(smaller, SMALL, CPU)
        with pytest.raises(CheckpointError, match="another training"):
            other.resume(path)
        assert [r.metrics for r in other] == [r.metrics for r in Fit(smaller, SMALL, CPU)]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="no readable snapshot of a training"):
        Fit(data, SMALL, CPU).resume(path)
    with pytest.raises(CheckpointError, match="no readable snapshot of a training"):
        Fit(data, SMALL, CPU).resume(tmp_path / "missing")


def test_a_disk_that_does_not_take_it_says_so(tmp_path: Path) -> None:
    fit = Fit(holdout(), SMALL, CPU)
    next(iter(fit))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="cannot be parked"):
        fit.save(tmp_path / "file" / "parked")


def test_a_look_at_the_model_changes_nothing() -> None:
    data = holdout()
    alone, watched = Fit(data, SMALL, CPU), Fit(data, SMALL, CPU)
    whole, seen = list(alone), []
    seen += [(result, watched.best, watched.model) for result in watched]
    assert [(r.train_loss, r.metrics) for r, _, _ in seen] == [
        (r.train_loss, r.metrics) for r in whole
    ]
    for _, best, model in seen:  # each model is as it was when it was taken
        assert best is not None
        metrics = Evaluator(data, CPU).evaluate(TowerScorer(model, data.seen)).mean()
        assert metrics.recall_at_10 == best.metrics.recall_at_10


@pytest.mark.parametrize("epoch", [2, SMALL.epochs])
def test_a_training_interrupted_within_an_epoch_goes_on_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    fit = Fit(holdout(), SMALL, CPU)
    list(islice(fit, epoch - 1))
    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "evaluate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            list(fit)
    for act in (lambda: list(fit), lambda: fit.save(tmp_path / "snapshot")):
        with pytest.raises(CheckpointError, match=f"was interrupted within epoch {epoch}; make"):
            act()


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt

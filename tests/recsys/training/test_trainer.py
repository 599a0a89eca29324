"""Training: known answers, bit-equal repeats, best epoch, patience, divergence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from recsys.config import TrainConfig
from recsys.data.splitting import split
from recsys.errors import DivergedError
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from recsys.evaluation.metric_names import STANDARD, MetricName, measured_names
from recsys.models.history import histories
from recsys.training import step as device_steps
from recsys.training.epoch import EpochResult
from recsys.training.fit import Fit, train
from recsys.training.step import groups
from recsys.training.trainer import Trainer
from tests.support.examples import conveyor_split, exploding, random_log

CPU = torch.device("cpu")
SMALL = TrainConfig(dim=16, lr=0.03, epochs=30, batch_size=32, average=0.8, patience=30)


def run(config: TrainConfig, *, timed: bool = True) -> tuple[list[EpochResult], Fit]:
    log = split(random_log(np.random.default_rng(0), timed=timed))
    fit = Fit(log.tuning, config, CPU)
    return list(fit), fit


def test_what_can_be_known_is_learned() -> None:
    fit = Fit(conveyor_split().tuning, SMALL, CPU)
    results = list(fit)
    assert max(result.metrics.recall_at_10 for result in results) == 1.0
    assert results[-1].train_loss < results[0].train_loss / 2


@pytest.mark.parametrize("timed", [True, False])
def test_two_runs_are_equal_bit_for_bit(timed: bool) -> None:
    config = SMALL.replace(epochs=3)
    (one, first), (two, second) = run(config, timed=timed), run(config, timed=timed)
    assert [r.metrics for r in one] == [r.metrics for r in two]
    assert [r.train_loss for r in one] == [r.train_loss for r in two]
    for name, weights in first.model.state_dict().items():
        assert torch.equal(weights, second.model.state_dict()[name])


def test_another_seed_is_another_training() -> None:
    (one, _), (two, _) = run(SMALL.replace(epochs=1)), run(SMALL.replace(epochs=1, seed=1))
    assert one[0].train_loss != two[0].train_loss


@pytest.mark.parametrize("objective", [*STANDARD, "recall_at_100", "map_at_3", "hit_rate_at_1"])
def test_the_best_epoch_is_kept(objective: MetricName, tmp_path: Path) -> None:
    data, config = conveyor_split().tuning, SMALL.replace(epochs=6)
    fit = Fit(data, config, CPU, objective)
    results = list(fit)
    best = max(results, key=lambda result: result.metrics.value(objective))
    assert fit.best == best
    fit.save(tmp_path / "snapshot")
    resumed = Fit(data, config, CPU, objective)
    resumed.resume(tmp_path / "snapshot")
    assert resumed.best == best
    names = measured_names(objective)
    evaluator = Evaluator(data, CPU, names=names, shown=(10,))
    assert evaluator.evaluate(TowerScorer(fit.model, data.seen)).mean() == best.metrics


def test_patience_ends_a_training_that_no_longer_improves() -> None:
    results, fit = run(SMALL.replace(epochs=200, patience=3))
    assert fit.best is not None
    assert len(results) == fit.best.epoch + 3


def test_epochs_count_from_one_to_their_bound() -> None:
    results, _ = run(SMALL.replace(epochs=4))
    assert [result.epoch for result in results] == [1, 2, 3, 4]


def test_a_loss_that_is_not_finite_names_epoch_and_step() -> None:
    with pytest.raises(DivergedError, match="epoch 1, step 1") as caught:
        Trainer(exploding().seen, SMALL, CPU).train_epoch()
    assert (caught.value.epoch, caught.value.step) == (1, 1)


def test_users_without_rows_are_scored_by_the_item_biases_alone() -> None:
    log = conveyor_split().train
    lonely = replace(log, user_ids=(*log.user_ids, "nobody"))
    trainer = Trainer(lonely, SMALL, CPU)
    trainer.train_epoch()
    scores = TowerScorer(trainer.model, lonely).scores(torch.tensor([log.n_users]))
    assert torch.equal(scores[0], trainer.model.bias)


def test_drawing_the_whole_catalogue_is_the_full_softmax() -> None:
    (full, _), (drawn, _) = run(SMALL.replace(epochs=2)), run(SMALL.replace(epochs=2, negatives=50))
    assert [r.metrics for r in full] == [r.metrics for r in drawn]


@pytest.mark.parametrize("timed", [True, False])
def test_a_drawn_part_of_the_catalogue_trains_too(timed: bool) -> None:
    config = SMALL.replace(epochs=3, negatives=20)
    (one, _), (two, _) = run(config, timed=timed), run(config, timed=timed)
    assert [r.metrics for r in one] == [r.metrics for r in two]
    assert one[-1].train_loss < one[0].train_loss


def test_few_negatives_suffice_to_learn_what_can_be_known() -> None:
    fit = Fit(conveyor_split().tuning, SMALL.replace(negatives=8, epochs=60), CPU)
    assert max(result.metrics.recall_at_10 for result in fit) == 1.0


def test_users_of_many_batches_are_updated_by_row() -> None:
    config = SMALL.replace(batch_size=2, user_weight=0.3)  # 60 users: above 16 batches
    data = conveyor_split().tuning
    trainer = Trainer(data.seen, config, CPU)
    trainer.train_epoch()
    moved = trainer.model.users.abs().sum(1) > 0
    assert moved[np.unique(data.seen.users)].all()
    assert max(result.metrics.recall_at_10 for result in Fit(data, config, CPU)) == 1.0


@pytest.mark.parametrize("negatives", [0, 20])
def test_steps_that_travel_together_train_as_if_they_came_alone(
    negatives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = split(random_log(np.random.default_rng(0))).train
    config = SMALL.replace(batch_size=11, history_power=0.7, negatives=negatives)
    trained = []
    for most in (1, 1 << 18):
        monkeypatch.setattr(device_steps, "MOST", most)
        trainer = Trainer(data, config, CPU)
        assert len(list(trainer._groups())) == (4 if most == 1 else 1)
        trained.append((trainer.train_epoch(), trainer.state()))
    assert trained[0][0] == trained[1][0]
    for name, value in trained[0][1].items():
        assert torch.equal(value, trained[1][1][name])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_gpu_equals_cpu_within_tolerance() -> None:
    data = conveyor_split().tuning
    config = SMALL.replace(epochs=3)
    ours = [list(Fit(data, config, torch.device(name)))[-1] for name in ("cpu", "cuda")]
    assert ours[0].train_loss == pytest.approx(ours[1].train_loss, rel=1e-3)


@pytest.mark.parametrize("repeats", ["drop", "keep"])
@pytest.mark.parametrize("negatives", [0, 10])
def test_what_a_user_has_is_no_candidate_of_the_loss(
    repeats: Literal["drop", "keep"], negatives: int
) -> None:
    data = replace(split(random_log(np.random.default_rng(0))).train, repeats=repeats)
    trainer = Trainer(data, SMALL.replace(history_dropout=0.0, negatives=negatives), CPU)
    plan = next(trainer._planner.plans(torch.Generator().manual_seed(1)))
    batch, items = plan.batch, plan.rows.get("candidates", np.arange(data.n_items))
    history = torch.as_tensor(batch.history_items)
    if negatives:
        history = torch.as_tensor(plan.rows["history"])[history]
    lengths = torch.as_tensor(batch.lengths)
    asked = histories(history, lengths.cumsum(0) - lengths, lengths)
    vectors = trainer._fast.user_vectors(None, asked)
    logits = vectors @ trainer._fast.item_vectors()[items].T + trainer._fast.bias[items]
    total = logits.clone() if plan.log_share is None else logits - torch.as_tensor(plan.log_share)
    rows, columns = torch.as_tensor(batch.target_rows), torch.as_tensor(batch.target_items)
    total[rows, columns] = logits[rows, columns]
    if repeats == "drop":
        mine, theirs = (torch.as_tensor(items)[None, :] == history[:, None]).nonzero().T
        assert len(mine) > 0
        total[torch.as_tensor(batch.history_rows)[mine], theirs] = -torch.inf
    losses = total.logsumexp(1)[rows] - logits[rows, columns]
    expected = (torch.as_tensor(batch.target_weights) * losses).sum()
    ((one,),) = groups([plan], trainer._config, CPU, ordered=True)
    towers = trainer._fast.towers()
    found = trainer._loss(towers.part(one.rows) if one.rows else towers, one)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("average", [0.99, 0.2])
def test_the_average_forgets_the_start_by_more_early_on(average: float) -> None:
    data, config = conveyor_split().train, SMALL.replace(average=average, batch_size=100_000)
    trainer = Trainer(data, config, CPU)  # one step an epoch
    for step in (1, 2, 3):
        before = trainer.state()["slow.bias"].detach().clone()
        trainer.train_epoch()
        fast, slow = (trainer.state()[f"{which}.bias"] for which in ("fast", "slow"))
        decay = min(average, step / (step + 5))
        torch.testing.assert_close(slow, decay * before + (1 - decay) * fast)
        assert not torch.equal(fast, before)


def test_weights_that_the_last_step_broke_are_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of a step is of the weights before it."""
    whole = Trainer.train_epoch

    def broken(self: Trainer) -> float:
        loss = whole(self)
        self.model.bias.data[0] = torch.nan
        return loss

    monkeypatch.setattr(Trainer, "train_epoch", broken)
    with pytest.raises(DivergedError, match="epoch 2"):
        train(conveyor_split().train, SMALL, 2, CPU)

"""Every epoch of a model of the user's own is checked, and what it left out is measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.runners.base import TrainingSetup
from hpo.trainables.fit import TrainableFit, new_training, trained_scorer
from recsys.errors import ConfigError, DivergedError, ScoreError
from recsys.evaluation import Evaluator
from recsys.training import EpochResult
from tests.support.examples import conveyor_split
from tests.support.own_model import Popular, PopularConfig, Resuming

HERE, CPU = "tests.support.own_model", torch.device("cpu")
AWKWARD = "tests.support.awkward_model"
HOLDOUT = conveyor_split().tuning


def fit(change: Any) -> TrainableFit:
    """A training whose epochs `change` replaces."""

    class Changed(Popular):
        def epochs(self, holdout: Any, config: Any) -> Iterator[Any]:
            return iter(change(list(super().epochs(holdout, config))))

    config = PopularConfig(epochs=3)
    return TrainableFit("my:Changed", Changed(), HOLDOUT, config, CPU, ("recall_at_10", ()))


def test_epochs_come_with_time_and_memory() -> None:
    training = new_training(f"{HERE}:Popular", HOLDOUT, {"epochs": 2}, CPU, ("mrr", ()))
    results = list(training)
    assert [result.epoch for result in results] == [1, 2]
    assert all(result.seconds > 0 and result.memory_mb > 0 for result in results)
    with pytest.raises(ConfigError, match="dim: no such hyperparameter; known: noise, steps"):
        new_training(f"{HERE}:Popular", HOLDOUT, {"dim": 2}, CPU, ("mrr", ()))


def test_metrics_and_device_are_given_to_those_who_ask() -> None:
    metrics: Any = ("map_at_7", (3,))
    (result,) = new_training(f"{HERE}:Scored", HOLDOUT, {"epochs": 1}, CPU, metrics)
    assert {"map_at_7", "recall_at_3"} <= set(result.metrics.as_dict())
    with pytest.raises(ValueError, match="did not measure map_at_7, .*take the parameter names"):
        list(new_training(f"{HERE}:Popular", HOLDOUT, {"epochs": 1}, CPU, metrics))


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (lambda _: [], ValueError, "ended without an epoch"),
        (lambda _: [None], TypeError, "yielded NoneType; yield recsys.EpochResult"),
        (lambda found: found[1:], ValueError, "yielded epoch 2 as number 1; count from 1"),
        (
            lambda found: [replace(found[0], train_loss=math.nan)],
            DivergedError,
            "diverged: loss or objective is nan at epoch 1$",
        ),
        (
            lambda found: [replace(found[0], metrics=replace(found[0].metrics, mrr=math.nan))],
            ValueError,
            "measured mrr as nan; give 0.0 for what you do not measure",
        ),
    ],
)
def test_what_is_no_epoch_is_refused(change: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        list(fit(change))


def test_epochs_after_the_last_are_not_trained() -> None:
    def endless(found: list[EpochResult]) -> Iterator[EpochResult]:
        yield from found
        pytest.fail("asked for a fourth epoch")

    assert len(list(fit(endless))) == 3


def test_an_early_end_closes_the_generator() -> None:
    closed = []

    def watched(found: list[EpochResult]) -> Iterator[EpochResult]:
        try:
            yield from found
        finally:
            closed.append(True)

    for _ in fit(watched):
        break
    assert closed == [True]


def test_save_and_resume_are_those_of_the_model(tmp_path: Path) -> None:
    config = PopularConfig(epochs=3)
    made = [
        TrainableFit("my:Resuming", Resuming(), HOLDOUT, config, CPU, ("mrr", ())) for _ in "12"
    ]
    epochs = iter(made[0])
    next(epochs), next(epochs)
    place = tmp_path / "new" / "snapshot"
    made[0].save(place)
    made[1].resume(place)
    assert made[1]._epochs.repeated == 2
    plain = fit(lambda found: found)
    plain.save(tmp_path / "none")  # a generator cannot be saved: it starts again
    assert not (tmp_path / "none").exists()


def test_a_scorer_may_answer_in_numpy() -> None:
    config = PopularConfig()
    scorer = trained_scorer(f"{HERE}:Scored", HOLDOUT, config, 2, CPU)
    assert scorer is not None
    *_, last = new_training(f"{HERE}:Scored", HOLDOUT, {"epochs": 2}, CPU, ("mrr", ()))
    assert Evaluator(HOLDOUT).evaluate(scorer).mean() == last.metrics
    assert trained_scorer(f"{HERE}:Popular", HOLDOUT, config, 2, CPU) is None


@pytest.mark.parametrize(("score", "error"), [(math.nan, DivergedError), (-math.inf, ScoreError)])
def test_scores_that_are_nan_mean_a_training_that_diverged(
    score: float, error: type[Exception]
) -> None:
    class Broken:
        def scores(self, users: torch.Tensor) -> torch.Tensor:
            return torch.full((len(users), HOLDOUT.seen.n_items), score)

    class Model(Popular):
        def epochs(self, holdout: Any, config: Any) -> Iterator[Any]:
            del config
            yield EpochResult(1, 0.0, Evaluator(holdout).evaluate(Broken()).mean())

    training = TrainableFit(
        "my:Model", Model(), HOLDOUT, PopularConfig(epochs=1), CPU, ("recall_at_10", ())
    )
    with pytest.raises(error):
        list(training)


def test_a_method_that_is_no_generator_does_its_work_in_the_first_epoch() -> None:
    begun = []

    class Broken:
        def scores(self, users: torch.Tensor) -> torch.Tensor:
            return torch.full((len(users), HOLDOUT.seen.n_items), math.nan)

    class Eager(Popular):
        def epochs(self, holdout: Any, config: Any) -> Any:
            begun.append(config)
            return [EpochResult(1, 0.0, Evaluator(holdout).evaluate(Broken()).mean())]

    training = TrainableFit("my:Eager", Eager(), HOLDOUT, PopularConfig(), CPU, ("mrr", ()))
    assert not begun
    with pytest.raises(DivergedError, match="is nan at epoch 1"):
        list(training)
    assert len(begun) == 1


def test_numbers_become_python_s_own() -> None:
    training = new_training(f"{AWKWARD}:InNumPy", HOLDOUT, {"epochs": 1}, CPU, ("mrr", ()))
    (result,) = training
    told = json.loads(json.dumps(asdict(result)))
    assert told["metrics"]["more"] == {"map_at_7": 0.5}
    assert (told["epoch"], told["train_loss"], told["seconds"]) == (1, 1.0, 2.0)
    assert told["metrics"]["n_users"] == len(set(HOLDOUT.relevant.users.tolist()))


def test_a_training_that_cannot_read_its_snapshot_is_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = tmp_path / "trial-0"
    snapshot.write_text("torn")
    setup = TrainingSetup(HOLDOUT, CPU, ("mrr", ()), f"{AWKWARD}:Torn")
    results = list(setup.begin({"epochs": 2}, snapshot))
    assert [result.epoch for result in results] == [1, 2]
    told = capsys.readouterr().err
    assert f"starting again from the first epoch: {snapshot}: JSONDecodeError: Expecting" in told

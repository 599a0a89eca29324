"""The race: fresh seeds, the same users, and the luck of the best trial in plain sight."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from hpo.errors import PromotionError
from hpo.gate import race as race_module
from hpo.gate.race import decide, fresh_seeds, run_race
from hpo.gate.tables import luck_line, race_lists, race_rows
from hpo.search.samplers import derive_seed
from hpo.study.candidates import Candidate, default_candidate, top_candidates
from hpo.study.data import load_split
from hpo.study.records import StudyRecord
from recsys.config import TrainConfig
from recsys.errors import DivergedError
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from recsys.evaluation.metric_names import STANDARD
from recsys.evaluation.metrics import UserMetrics
from recsys.training.trainer import Trainer
from tests.support.fake_study import fake_record
from tests.support.real_study import RealStudy


def candidates(*values: float) -> list[Candidate]:
    """The study's best first; trial numbers 10, 11, ..."""
    record = fake_record("s", 50)
    return [
        Candidate(record, "s", 10 + i, TrainConfig(dim=8 + i), 2, value, {})
        for i, value in enumerate(values)
    ]


def users(mean: float, n_seeds: int = 3, coverage: float = 0.5) -> list[UserMetrics]:
    """Ten users whose mean is `mean` over the seeds, each seed a little different."""
    found = []
    for i in range(n_seeds):
        value = np.full(10, mean + 0.001 * (i - (n_seeds - 1) / 2))
        shown = {"coverage_at_10": coverage + i, "novelty_at_10": 2.0, "gini_at_10": 0.25}
        found.append(UserMetrics(np.arange(10), dict.fromkeys(STANDARD, value), shown))
    return found


def test_a_lucky_trial_loses_and_its_luck_is_told() -> None:
    found = decide(candidates(0.30, 0.25), [users(0.22), users(0.24)])
    assert found.winner == 11
    assert found.luck == pytest.approx(0.08)
    assert found.racers[0].behind is not None
    assert found.racers[0].behind.mean == pytest.approx(0.02)
    assert found.won.values == pytest.approx((0.239, 0.240, 0.241))
    assert luck_line(found) == (
        "the best trial, 10, had 0.3000 in the study and has 0.2200 with 3 fresh seeds: 0.0800 of "
        "its lead was luck; the winner is trial 11"
    )
    assert [row[-1] for row in race_rows(found)] == ["+0.0200 (+0.0200 to +0.0200)", "winner"]


def test_what_the_racers_show_is_their_mean_over_the_seeds() -> None:
    found = decide(candidates(0.30, 0.25), [users(0.22), []])
    assert found.racers[0].metrics["coverage_at_10"] == 1.5
    assert found.racers[1].metrics == {}
    assert race_lists(found) == [("10", "10", "0.2200", "0.2200", "150.0%", "2.00", "0.250")]


def test_no_luck_is_none_and_among_equals_the_study_decides() -> None:
    found = decide(candidates(0.2, 0.2), [users(0.25, 1), users(0.25, 1)])
    assert found.winner == 10
    assert "with 1 fresh seed: none of its lead was luck" in luck_line(found)


def test_a_candidate_without_rivals_had_no_lead() -> None:
    found = decide(candidates(0.3), [users(0.25)])
    assert luck_line(found) == (
        "trial 10, the only candidate, had 0.3000 in the study and has 0.2500 with 3 fresh seeds"
    )


def test_who_diverges_is_out() -> None:
    found = decide(candidates(0.3, 0.2), [[], users(0.1)])
    assert (found.winner, found.luck) == (11, None)
    assert found.racers[0].behind is None
    assert "10, diverged with one of 3 fresh seeds" in luck_line(found)
    assert race_rows(found)[0] == ("10", "0.3000", "diverged", "-")
    with pytest.raises(PromotionError, match="all 2 candidates diverge .* --candidates"):
        decide(candidates(0.3, 0.2), [[], []])


def test_a_diverging_training_takes_its_candidate_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = RealStudy(tmp_path).train("shop")
    split = load_split(StudyRecord.of(study), None)
    best = top_candidates(study, 2)
    train = race_module.train

    def diverging(seen, config, *rest):
        if config.replace(seed=0) == best[0].config.replace(seed=0):
            raise DivergedError(1, 1, float("nan"))
        return train(seen, config, *rest)

    monkeypatch.setattr(race_module, "train", diverging)
    said: list[str] = []
    found = run_race(best, split.tuning, 2, torch.device("cpu"), said.append)
    assert found.winner == best[1].trial
    assert "with fresh seeds diverged" in said[0]


def test_fresh_seeds_are_no_trials_seeds() -> None:
    trials = {derive_seed(0, number) for number in range(10_000)}
    seeds = fresh_seeds(0, 100)
    assert len(set(seeds)) == 100
    assert not trials & set(seeds)
    assert seeds[:3] == fresh_seeds(0, 3) != fresh_seeds(1, 3)


def test_each_value_is_a_training_of_its_own(tmp_path: Path) -> None:
    study = RealStudy(tmp_path).train("shop", n_trials=3)
    split = load_split(StudyRecord.of(study), None)
    best = top_candidates(study, 2)
    assert [one.value for one in best] == sorted((t.value for t in study.trials), reverse=True)[:2]
    found = run_race(best, split.tuning, 2, torch.device("cpu"), lambda _: None)
    evaluator = Evaluator(split.tuning, torch.device("cpu"), shown=(10,))
    for candidate, racer in zip(best, found.racers, strict=True):
        assert racer.study_value == candidate.value
        shown = []
        for seed, value in zip(fresh_seeds(0, 2), racer.values, strict=True):
            config = candidate.config.replace(seed=seed)
            trainer = Trainer(split.train, config, torch.device("cpu"))
            for _ in range(candidate.epochs):
                trainer.train_epoch()
            again = evaluator.evaluate(TowerScorer(trainer.model, split.train)).mean()
            assert value == pytest.approx(again.recall_at_10, abs=1e-12)
            shown.append(again.more["coverage_at_10"])
        assert racer.metrics["coverage_at_10"] == pytest.approx(np.mean(shown))


def test_the_same_config_races_once(tmp_path: Path) -> None:
    study = RealStudy(tmp_path).train("shop", n_trials=1)
    params = study.trials[0].params
    study.enqueue_trial(params)
    RealStudy.train(RealStudy(tmp_path), "shop", n_trials=2)
    found = top_candidates(study, 5)
    assert len(study.trials) == 3
    configs = [dataclasses.replace(one.config, seed=0) for one in found]
    assert len(configs) == len(set(configs)) == 2
    default = default_candidate(study)
    assert default is not None
    assert default.trial == 0

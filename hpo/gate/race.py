"""The race: the study's best trials, trained again with fresh seeds before one of them is believed.

The best of many noisy values is best partly by luck: the luck of its seed, and of the epoch at
which it was read. So each candidate is trained for its best epoch count with seeds that the study
never used, the same ones for all candidates, and is judged by its value on validation after that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from hpo.errors import PromotionError
from hpo.search import broken_limits, derive_seed
from hpo.study import Candidate
from recsys.config import TrainConfig
from recsys.data import Holdout
from recsys.errors import DivergedError, ScoreError
from recsys.evaluation import (
    Evaluator,
    Floats,
    Interval,
    TowerScorer,
    UserMetrics,
    mean_interval,
)
from recsys.training import train


@dataclass(frozen=True)
class Racer:
    """One candidate, trained with fresh seeds.

    Attributes:
        trial: number of the candidate's trial.
        study_value: the objective in the study, from one seed at its best epoch.
        values: the objective on validation, one value per fresh seed; empty if a training diverged.
        behind: the winner's lead over this candidate, paired per user, with its 95% interval; 0 for
            the winner, None if a training diverged.
        metrics: means over the fresh seeds of all metrics on validation, those of exposure too;
            empty if a training diverged, or in races of before they were kept.
        broken: the limits that these means break, so that it cannot win; "" if none.
    """

    trial: int
    study_value: float
    values: tuple[float, ...]
    behind: Interval | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    broken: str = ""

    @property
    def mean(self) -> float:
        """Return the mean over the fresh seeds; minus infinity if a training diverged."""
        return float(np.mean(self.values)) if self.values else float("-inf")


@dataclass(frozen=True)
class Race:
    """The result of a race.

    Attributes:
        racers: all racers in the study's order, its best trial first.
        winner: trial number of the winner.
    """

    racers: tuple[Racer, ...]
    winner: int

    @property
    def won(self) -> Racer:
        """Return the racer that won."""
        return next(racer for racer in self.racers if racer.trial == self.winner)

    @property
    def luck(self) -> float | None:
        """Return the part of the best trial's value that fresh seeds did not show.

        None if a training of that trial diverged.
        """
        best = self.racers[0]
        return best.study_value - best.mean if best.values else None


def run_race(
    candidates: Sequence[Candidate],
    holdout: Holdout,
    n_seeds: int,
    device: torch.device,
    say: Callable[[str], None],
) -> Race:
    """Train every candidate with every fresh seed and compare them on the same users.

    Args:
        candidates: at least one candidate, the study's best first.
        holdout: train as the history, validation as the rows to predict.
        n_seeds: trainings of each candidate, >= 1.
        device: device for training.
        say: called with one line about each candidate.

    Raises:
        PromotionError: every candidate diverged.
    """
    config = candidates[0].record.config
    evaluator = Evaluator.with_exposure(holdout, device, config.objective, config.cutoffs)
    seeds = fresh_seeds(config.seed, n_seeds)
    found: list[list[UserMetrics]] = []  # per candidate and seed
    for candidate in candidates:
        start = time.monotonic()
        found.append(_race_metrics(candidate, holdout, evaluator, seeds, device))
        values = [each.values[config.objective] for each in found[-1]]
        say(_racer_line(candidate, values, time.monotonic() - start))
    return decide(candidates, found)


def decide(candidates: Sequence[Candidate], found: Sequence[Sequence[UserMetrics]]) -> Race:
    """Return the race, won by the highest mean of the objective over users and seeds.

    Equal means are decided by the study's order. Who breaks a limit of the study's constraints with
    fresh seeds cannot win.

    Args:
        candidates: c candidates, the study's best first.
        found: per candidate, the metrics of every user for each seed; empty for a candidate that
            diverged.

    Raises:
        PromotionError: every candidate diverged or breaks a limit.
    """
    config = candidates[0].record.config
    objective = config.objective
    means_of = [_mean_metrics(metrics) for metrics in found]
    broken = [broken_limits(config, metrics) if metrics else "" for metrics in means_of]
    values = [[each.values[objective] for each in metrics] for metrics in found]
    users = [np.mean(each, axis=0) if len(each) else None for each in values]
    means = [
        -np.inf if value is None or why else float(value.mean())
        for value, why in zip(users, broken, strict=True)
    ]
    first = int(np.argmax(means))
    best = users[first]
    if best is None or not np.isfinite(means[first]):
        raise PromotionError(_no_winner(candidates, broken))
    racers = [
        Racer(
            candidate.trial,
            candidate.value,
            tuple(float(value.mean()) for value in each),
            None if own is None else mean_interval(best - own),
            metrics,
            why,
        )
        for candidate, each, own, metrics, why in zip(
            candidates, values, users, means_of, broken, strict=True
        )
    ]
    return Race(tuple(racers), candidates[first].trial)


def _mean_metrics(found: Sequence[UserMetrics]) -> dict[str, float]:
    """Return the mean of each metric over seeds; empty without a seed."""
    seeds = [metrics.mean().as_dict() for metrics in found]
    return {name: float(np.mean([each[name] for each in seeds])) for name in (seeds or [{}])[0]}


def _no_winner(candidates: Sequence[Candidate], broken: Sequence[str]) -> str:
    """Return the reason why no candidate can win: a limit that one breaks, or all diverge."""
    for candidate, why in zip(candidates, broken, strict=True):
        if why:
            return (
                f"no candidate keeps the [constraints] with fresh seeds (trial {candidate.trial}: "
                f"{why}); run more trials, race more of them with --candidates, or loosen the "
                "limits with --accept-changes"
            )
    n = len(candidates)
    everybody = "the only candidate diverges" if n == 1 else f"all {n:,} candidates diverge"
    return (
        f"{everybody} with fresh seeds; search lower learning rates, or race more of them with "
        "--candidates"
    )


def fresh_seeds(study_seed: int, n: int) -> list[int]:
    """Return n seeds that no trial of the study was trained with.

    Seeds of trials are derived from numbers >= 0, fresh seeds from negative numbers.

    Args:
        study_seed: seed of the study.
        n: number of seeds.
    """
    return [derive_seed(study_seed, -number) for number in range(1, n + 1)]


def _race_metrics(
    candidate: Candidate,
    holdout: Holdout,
    evaluator: Evaluator,
    seeds: Sequence[int],
    device: torch.device,
) -> list[UserMetrics]:
    found = []
    for seed in seeds:
        config = TrainConfig.of(candidate.config).replace(seed=seed)
        try:
            model = train(holdout.seen, config, candidate.epochs, device)
            found.append(evaluator.evaluate(TowerScorer(model, holdout.seen)))
        except (DivergedError, ScoreError):
            return []
    return found


def _racer_line(candidate: Candidate, values: Sequence[Floats], seconds: float) -> str:
    found = "  ".join(f"{value.mean():.4f}" for value in values) or "diverged"
    return (
        f"race: trial {candidate.trial}, in the study {candidate.value:.4f}, "
        f"with fresh seeds {found}  ({seconds:.0f} s)"
    )

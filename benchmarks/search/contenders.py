"""The ways to search that are compared, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, TPESampler

from hpo.config.algorithms import PrunerConfig, SamplerConfig
from hpo.config.study_config import StudyConfig
from hpo.search.pruners import pruning_rule
from hpo.search.samplers import make_sampler
from search.record import space
from search.replay import ComparedModel, Rule


def ours(sampler: dict[str, Any], pruner: dict[str, Any]) -> ComparedModel:
    """What a study file would ask for; `warmup` is 5 where nothing else is said."""
    if pruner["name"] != "none":
        pruner = {"warmup": 5, **pruner}

    @cache
    def config(seed: int) -> StudyConfig:
        return StudyConfig(
            sampler=SamplerConfig(**sampler),
            pruner=PrunerConfig(**pruner),
            space=space(),
            seed=seed,
        )

    def rule(study: optuna.Study) -> Rule:
        return pruning_rule(config(0), study.study_name)

    return ComparedModel(lambda seed, number: make_sampler(config(seed), number), rule)


class OptunaRule:
    """Optuna's own pruner, asked as in any objective."""

    def __init__(self, study: optuna.Study, pruner: optuna.pruners.BasePruner) -> None:
        self._study, self._pruner = study, pruner

    def add(self, number: int, values: list[float], complete: bool) -> None:
        pass  # it reads the study

    def is_hopeless(self, number: int, values: list[float]) -> bool:
        trial = self._study.get_trials(deepcopy=False)[number]
        return self._pruner.prune(self._study, trial)


def stock() -> ComparedModel:
    """What `optuna.create_study()` does: TPE and MedianPruner, both as they come."""

    @cache
    def sampler(seed: int) -> TPESampler:
        return TPESampler(seed=seed)

    def chosen(seed: int, number: int) -> BaseSampler:
        if number == 0:
            sampler.cache_clear()
        return sampler(seed)

    return ComparedModel(chosen, lambda study: OptunaRule(study, MedianPruner()))


def contenders() -> dict[str, Callable[[], ComparedModel]]:
    tpe, none = {"name": "tpe"}, {"name": "none"}
    rows: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "tpe": (tpe, none),
        "tpe + median 5 (before)": (tpe, {"name": "median"}),
        "tpe + forecast 20": (tpe, {"name": "forecast", "share": 20.0}),
        "tpe + forecast 50": (tpe, {"name": "forecast", "share": 50.0}),
        "random": ({"name": "random"}, none),
        "tpe + asha 5": (tpe, {"name": "asha"}),
        "tpe + hyperband 5": (tpe, {"name": "hyperband"}),
        "tpe + median 20": (tpe, {"name": "median", "warmup": 20}),
        "cmaes": ({"name": "cmaes"}, none),
        "qmc": ({"name": "qmc"}, none),
        "tpe multivariate": ({**tpe, "multivariate": True}, none),
        "tpe + percentile 75": (tpe, {"name": "percentile", "keep": 75.0}),
        "tpe + percentile 75 from 10": (tpe, {"name": "percentile", "keep": 75.0, "warmup": 10}),
        "tpe + percentile 75 from 15": (tpe, {"name": "percentile", "keep": 75.0, "warmup": 15}),
        "tpe + percentile 80 from 10": (tpe, {"name": "percentile", "keep": 80.0, "warmup": 10}),
        "tpe + asha 15, halves": (tpe, {"name": "asha", "warmup": 15, "reduction": 2}),
        "tpe + asha 20, halves": (tpe, {"name": "asha", "warmup": 20, "reduction": 2}),
        "tpe + forecast 5": (tpe, {"name": "forecast", "share": 5.0}),
        "tpe + forecast 10": (tpe, {"name": "forecast", "share": 10.0}),
        "tpe + patient 5": (tpe, {"name": "patient", "patience": 5}),
        "tpe + asha 20": (tpe, {"name": "asha", "warmup": 20}),
        "cmaes + forecast 20": ({"name": "cmaes"}, {"name": "forecast", "share": 20.0}),
        "random + asha 5": ({"name": "random"}, {"name": "asha"}),
        "gp": ({"name": "gp"}, none),
    }
    found: dict[str, Callable[[], ComparedModel]] = {"stock Optuna": stock}
    for name, (sampler, pruner) in rows.items():
        found[name] = lambda sampler=sampler, pruner=pruner: ours(sampler, pruner)
    return found

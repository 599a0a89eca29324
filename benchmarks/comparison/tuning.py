"""Optuna's TPE on validation recall@10, by number of trials and CPU seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna import Study, Trial
from optuna.trial import TrialState

from comparison.contestants import Contestant, TrainingFailed, measure
from comparison.roster import Choice, Dimension, Whole
from hpo.search.samplers import derive_seed
from recsys.data.splitting import Holdout

OBJECTIVE = "recall_at_10"


@dataclass(frozen=True)
class Budget:
    """Whichever is used up first."""

    trials: int
    cpu_seconds: float


@dataclass(frozen=True)
class Tuned:
    params: Mapping[str, Any]
    validation: Mapping[str, float]
    trials: int
    cpu_seconds: float


def tune(
    contestant: Contestant,
    start: Mapping[str, Any],
    space: Mapping[str, Dimension],
    holdout: Holdout,
    budget: Budget,
    storage: str,
    name: str,
    say: Callable[[str], None],
) -> Tuned:
    """Search; a study that was interrupted goes on where it stopped.

    Raises:
        TrainingFailed: not one configuration could be trained.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True
    )
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial({key: start[key] for key in space if key in start})
    wanted = budget.trials if space else 1
    while _finished(study) < wanted and _cpu(study) < budget.cpu_seconds:
        # a seed for each trial, so that a resumed study does not repeat its suggestions
        seed = derive_seed(0, len(study.trials))
        study.sampler = optuna.samplers.TPESampler(seed=seed)
        trial = study.ask()
        value = _run(trial, contestant, start, space, holdout)
        study.tell(trial, value, state=TrialState.FAIL if value is None else None)
        say(f"trial {trial.number}: {value or float('nan'):.4f} {trial.params}")
    if not any(trial.state is TrialState.COMPLETE for trial in study.trials):
        raise TrainingFailed(f"{name}: no configuration could be trained")
    best = study.best_trial
    return Tuned(
        {**start, **best.params}, best.user_attrs["metrics"], _finished(study), _cpu(study)
    )


def _run(
    trial: Trial,
    contestant: Contestant,
    start: Mapping[str, Any],
    space: Mapping[str, Dimension],
    holdout: Holdout,
) -> float | None:
    params = {**start, **{name: _suggest(trial, name, each) for name, each in space.items()}}
    begin = time.process_time()
    trained = None
    try:
        trained = contestant.train(holdout.seen, params, seed=0)
        metrics = measure(trained, holdout).mean().as_dict()
    except TrainingFailed as error:
        print(error, flush=True)
        return None
    finally:
        here = time.process_time() - begin
        elsewhere = trained.cpu if trained and trained.elsewhere else 0.0
        trial.set_user_attr("cpu", here + elsewhere)
    trial.set_user_attr("metrics", metrics)
    return float(metrics[OBJECTIVE])


def _suggest(trial: Trial, name: str, dimension: Dimension) -> Any:
    if isinstance(dimension, Choice):
        return trial.suggest_categorical(name, dimension.values)
    if isinstance(dimension, Whole):
        return trial.suggest_int(name, dimension.low, dimension.high, log=dimension.log)
    return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)


def _finished(study: Study) -> int:
    """Trials that came to an end; those that were interrupted do not count."""
    ends = (TrialState.COMPLETE, TrialState.FAIL)
    return len(study.get_trials(deepcopy=False, states=ends))


def _cpu(study: Study) -> float:
    return sum(trial.user_attrs.get("cpu", 0.0) for trial in study.get_trials(deepcopy=False))

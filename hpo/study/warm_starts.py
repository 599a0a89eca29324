"""Warm starts out of another study: its best configurations, where they fit this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna import Study

from hpo.config import SearchSpace, StudyConfig, start_problems
from hpo.errors import PromotionError, StudyError
from hpo.study.candidates import Candidate, top_candidates
from hpo.study.records import FINISHED, StudyRecord
from recsys.messages import count

N_BEST = 5


def with_best_of(other: Study, config: StudyConfig, say: Callable[[str], None]) -> StudyConfig:
    """`config` with up to five more warm starts: the best different configs of `other`.

    Hyperparameters that this study does not search come from its own base. A study that is
    complete gets none: nothing would try them.

    Args:
        say: is told which ones are left out, and why.

    Raises:
        StudyError: no trial of `other` is complete, or it is the same study.
    """
    if other.study_name == config.name:
        raise StudyError(
            f"--warm-start-from {config.name}: is the study itself, which knows its own trials; "
            "name another, or leave it out"
        )
    known, is_complete = _so_far(other, config)
    if is_complete:
        return config
    try:
        candidates = top_candidates(other, N_BEST)
    except PromotionError as error:
        raise StudyError(f"no warm starts: {error}") from None
    starts: list[dict[str, float]] = []
    for candidate in candidates:
        params, problems = _params(candidate, config)
        if problems:
            say(f"warm start, trial {candidate.trial} of {other.study_name}, left out: {problems}")
        elif params not in (*config.warm_starts, *known, *starts):
            starts.append(params)
    new = " new" if known else ""
    best = count(len(candidates), "trial")
    metric = candidates[0].record.config.objective
    by = f" by {metric}" if metric != config.objective else ""
    say(f"warm starts: {len(starts)}{new} of the best {best} of {other.study_name}{by}")
    return config.model_copy(update={"warm_starts": (*config.warm_starts, *starts)})


def _so_far(other: Study, config: StudyConfig) -> tuple[Sequence[Mapping[str, float]], bool]:
    """The warm starts that this study has already, and whether it has all its trials."""
    try:
        study = optuna.load_study(study_name=config.name, storage=other._storage)
        known = StudyRecord.of(study).config.warm_starts
    except KeyError:  # it is about to be made
        return (), False
    done = sum(trial.state in FINISHED for trial in study.get_trials(deepcopy=False))
    return known, done >= config.n_trials


def _params(candidate: Candidate, config: StudyConfig) -> tuple[dict[str, float], str]:
    """What a trial here must be given to be as the candidate; and why it cannot, "" if it can."""
    params = SearchSpace(config).params(candidate.config)
    found = start_problems(config, params)
    return params, "; ".join(f"{name} {text}" for name, text in found.items())

"""Warm starts out of another study: its best configurations, where they fit this one."""

from __future__ import annotations

from collections.abc import Callable

from optuna import Study

from hpo.candidate import Candidate, top_candidates
from hpo.checks import start_problems
from hpo.errors import PromotionError, StudyError
from hpo.settings import StudyConfig
from hpo.space import SearchSpace

N_BEST = 5


def with_best_of(other: Study, config: StudyConfig, say: Callable[[str], None]) -> StudyConfig:
    """`config` with up to five more warm starts: the best different configs of `other`.

    Hyperparameters that this study does not search come from its own base.

    Args:
        say: is told which ones are left out, and why.

    Raises:
        StudyError: no trial of `other` is complete.
    """
    try:
        candidates = top_candidates(other, N_BEST)
    except PromotionError as error:
        raise StudyError(f"no warm starts: {error}") from None
    starts: list[dict[str, float]] = []
    for candidate in candidates:
        params, problems = _params(candidate, config)
        if problems:
            say(f"warm start, trial {candidate.trial} of {other.study_name}, left out: {problems}")
        elif params not in (*config.warm_starts, *starts):
            starts.append(params)
    say(f"warm starts: {len(starts)} of the best {len(candidates)} trials of {other.study_name}")
    return config.model_copy(update={"warm_starts": (*config.warm_starts, *starts)})


def _params(candidate: Candidate, config: StudyConfig) -> tuple[dict[str, float], str]:
    """What a trial here must be given to be as the candidate; and why it cannot, "" if it can."""
    params = SearchSpace(config).params(candidate.config)
    found = start_problems(config, params)
    return params, "; ".join(f"{name} {text}" for name, text in found.items())

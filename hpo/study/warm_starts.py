"""Warm starts from another study: its best configurations that fit this study's space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna import Study

from hpo.config import SearchSpace, StudyConfig, start_problems
from hpo.errors import PromotionError, StudyError
from hpo.study.candidates import Candidate, top_candidates
from hpo.study.records import COUNTED, StudyRecord
from recsys.messages import count

N_BEST = 5


def with_best_of(other: Study, config: StudyConfig, say: Callable[[str], None]) -> StudyConfig:
    """Return `config` with up to five more warm starts: the best different configs of `other`.

    Hyperparameters that this study does not search come from its own base. A study that has all
    its trials gets no warm starts, since it would not try them.

    Args:
        other: the study to take configurations from, in the same storage.
        config: the config of the study to start or continue.
        say: called with a line on each configuration left out, and on the number taken.

    Raises:
        StudyError: no trial of `other` is complete, it is the same study, or one of another model.
    """
    if other.study_name == config.name:
        raise StudyError(
            f"--warm-start-from {config.name}: is this study itself, which has its own trials "
            "already; name another study, or leave the option out"
        )
    theirs = StudyRecord.of(other).config.trainable
    if theirs != config.trainable:
        one, two = (name or "the two-tower" for name in (theirs, config.trainable))
        raise StudyError(
            f"--warm-start-from {other.study_name}: tunes another model, {one}, not {two}; name a "
            "study of the same model, or leave the option out"
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
    """Return the warm starts stored with this study, and True if it has all its trials."""
    try:
        study = optuna.load_study(study_name=config.name, storage=other._storage)
        known = StudyRecord.of(study).config.warm_starts
    except KeyError:  # the study does not exist yet
        return (), False
    done = sum(trial.state in COUNTED for trial in study.get_trials(deepcopy=False))
    return known, done >= config.n_trials


def _params(candidate: Candidate, config: StudyConfig) -> tuple[dict[str, float], str]:
    """Return the candidate's values for this study's parameters, and its problems here or ""."""
    params = SearchSpace(config).params(candidate.config)
    found = start_problems(config, params)
    return params, "; ".join(f"{name} {text}" for name, text in found.items())

"""The samplers that suggest configurations, and the seeds of all random draws.

`hpo.execution.store.stored_constraints` fits past trials to changed ranges and constraints.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence

from optuna.samplers import BaseSampler

from hpo.config import SearchSpace, StudyConfig, clamped_defaults, with_defaults


def make_sampler(config: StudyConfig, n_existing: int) -> BaseSampler:
    """Return a sampler for the next trial alone.

    Its seed comes from the study's seed and the number of existing trials: a resumed study
    repeats no suggestion, and a parked study draws as if it had not been interrupted. A trial lost
    to a kill is tried again under a new number, so later trials then draw other configurations.

    Args:
        config: the study's config.
        n_existing: number of trials in the study before the next one, in any state.
    """
    from optuna import samplers

    options, seed = config.sampler, derive_seed(config.seed, n_existing, config.warm_starts)
    match options.name:
        case "random":
            return samplers.RandomSampler(seed=seed)
        case "tpe":
            group = config.is_conditional  # else parameters that some trials lack are drawn apart
            return samplers.TPESampler(
                seed=seed,
                n_startup_trials=options.startup,
                multivariate=options.multivariate or group,
                group=group,
            )
        case "gp":
            return samplers.GPSampler(
                seed=seed, n_startup_trials=options.startup, warn_independent_sampling=False
            )
        case "cmaes":
            return samplers.CmaEsSampler(
                seed=seed, n_startup_trials=options.startup, warn_independent_sampling=False
            )
        case "qmc":  # one sequence, whose next point the storage counts
            return samplers.QMCSampler(
                seed=derive_seed(config.seed, 0, config.warm_starts)
                if config.warm_starts
                else config.seed,
                scramble=True,
                independent_sampler=samplers.RandomSampler(seed),
                warn_independent_sampling=False,
            )


def say_random_draws(config: StudyConfig, say: Callable[[str], None]) -> None:
    """Name once the parameters that the sampler cannot model; Optuna would at each trial.

    Args:
        config: the study's config.
        say: called with a line, if there are any.
    """
    kind = config.sampler.name
    if found := _drawn_at_random(config):
        kinds = "choices or a condition" if kind == "cmaes" else "a condition"
        say(
            f"sampler {kind}: {', '.join(found)} drawn at random, since it takes no parameters "
            f"with {kinds}; tpe does"
        )


def _drawn_at_random(config: StudyConfig) -> list[str]:
    """Return the parameters that the sampler leaves to a random one; [] of tpe and random."""
    kind = config.sampler.name
    if kind == "qmc":  # its sequence has the parameters of trial 0
        config = with_defaults(config, clamped_defaults(config))
        first = SearchSpace(config).params(config.train_config)
        return [name for name in config.space if name not in first]
    return [
        name
        for name, parameter in config.space.items()
        if (kind in ("gp", "cmaes") and parameter.when)
        or (kind == "cmaes" and parameter.choices is not None)
    ]


def derive_seed(base: int, number: int, starts: Sequence[Mapping[str, float]] = ()) -> int:
    """Return the seed of one trial, in 0..2**31 - 1; seeds of neighbouring trials are unrelated.

    Args:
        base: the study's seed.
        number: number of the trial.
        starts: the study's warm starts. If they did not count, a study that starts from another's
            best with the same seed would draw the other's random trials again, one by one.
    """
    words = [f"{base}:{number}"]
    words += [json.dumps({n: float(start[n]) for n in sorted(start)}) for start in starts]
    digest = hashlib.sha256(":".join(words).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1

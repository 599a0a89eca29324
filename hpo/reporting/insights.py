"""What a finished study says about its own search space: what mattered, and where to look next."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna import Study
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

from hpo.config import Parameter, StudyConfig
from hpo.study import TrialRow, complete
from recsys.config import TrainConfig

MIN_COMPLETE = 10  # below, importances and bounds are noise
BEST_SHARE = 0.2  # of the COMPLETE trials
MIN_HAVING = 2  # of the best trials must have a conditional parameter
NEAR = 0.1  # of the range
UNIMPORTANT = 0.05


@dataclass(frozen=True)
class Hint:
    """One sentence on what to try next. `parameter`: which it is about."""

    parameter: str
    text: str


def importances(study: Study, trials: Sequence[TrialRow]) -> dict[str, float]:
    """Return each parameter's share in reaching the best tenth of the values, largest first.

    PED-ANOVA with its defaults, as optuna-dashboard, so that both windows show the same figures.

    Args:
        study: has at least these trials.
        trials: only these count, and of them the COMPLETE ones.

    Returns:
        parameter -> share, which add up to 1; {} for fewer than 10 COMPLETE trials, or if all have
        the same value.
    """
    return _shares(study, trials, PedAnovaImportanceEvaluator())


def variance_shares(study: Study, trials: Sequence[TrialRow]) -> dict[str, float]:
    """Return the share of the values' variance that each parameter explains (fANOVA).

    Arguments and result as of `importances`, but without conditional parameters that some of the
    trials lack: fANOVA cannot judge them.
    """
    return _shares(study, trials, FanovaImportanceEvaluator(seed=0))


def _shares(
    study: Study,
    trials: Sequence[TrialRow],
    evaluator: FanovaImportanceEvaluator | PedAnovaImportanceEvaluator,
) -> dict[str, float]:
    finished = complete(trials)
    if len(finished) < MIN_COMPLETE or finished[0].value == finished[-1].value:
        return {}
    numbers = {trial.number for trial in finished}
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would announce the next line
    part = optuna.create_study(direction=study.direction)
    part.add_trials([t for t in study.get_trials(deepcopy=False) if t.number in numbers])
    with warnings.catch_warnings():
        # a conditional parameter that one trial alone has: such a share is small, and said to be
        # of no use for advice by the other measure, which leaves the parameter out
        warnings.filterwarnings("ignore", message="Some regimes for parameter")
        found = optuna.importance.get_param_importances(part, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}


def hints(
    config: StudyConfig,
    trials: Sequence[TrialRow],
    importance: Mapping[str, float],
    variance: Mapping[str, float],
) -> list[Hint]:
    """Return bounds that the best trials press against, then parameters that do not matter.

    The two measures often disagree about a study of some ten trials. A parameter is said not to
    matter only where both say so.

    Args:
        config: of the study.
        trials: as read from the study.
        importance: see `importances`.
        variance: see `variance_shares`.
    """
    finished = complete(trials)
    if len(finished) < MIN_COMPLETE:
        return []
    best = finished[: math.ceil(BEST_SHARE * len(finished))]
    pressed = [
        hint
        for name, parameter in config.space.items()
        if parameter.choices is None and (hint := _pressed(name, parameter, best))
    ]
    idle = [
        Hint(
            name,
            f"{name} hardly matters (importance {share:.2f}, share of the variance "
            f"{variance[name]:.2f}): fix it, for instance at {best[0].shown(name)}, and spend the "
            "trials on other parameters.",
        )
        for name, share in importance.items()
        if max(share, variance.get(name, 1.0)) < UNIMPORTANT
    ]
    return pressed + idle


def _pressed(name: str, parameter: Parameter, best: Sequence[TrialRow]) -> Hint | None:
    """A hint if more than half of the best trials that have it are in the last tenth of one end.

    `epochs` is a cap, so what it is measured by is the best epoch, and only upward: a trial that
    peaks early does so under any cap, and a lower one would only cut off the others.
    """
    low, high = parameter.values
    best = [trial for trial in best if name in trial.params]
    if len(best) < MIN_HAVING:
        return None
    used = [trial.best_epoch if name == "epochs" else trial.params[name] for trial in best]
    locations = [position(parameter, value) for value in used]
    legal_low, legal_high = TrainConfig.bounds(name)
    wider_low, wider_high = _wider(parameter)
    ends = (
        ("low", low, max(wider_low, legal_low), sum(place <= NEAR for place in locations)),
        ("high", high, min(wider_high, legal_high), sum(place >= 1 - NEAR for place in locations)),
    )
    for end, bound, wider, n in ends[1:] if name == "epochs" else ends:
        if 2 * n > len(best) and wider != bound:
            who = f"{n} of the {len(best)}" if n < len(best) else f"the {n}"
            what = "best epochs" if name == "epochs" else "values"
            return Hint(
                name,
                f"{name}: the {what} of {who} best trials press against {end} = {bound:g} (the "
                f"last tenth of the range, or beyond). Try {end} = {_shown(name, wider)}.",
            )
    return None


def position(parameter: Parameter, value: float) -> float:
    """Where a value lies between low (0) and high (1), in the logarithm where the range is log."""
    low, high = parameter.values
    if parameter.log:
        return math.log(value / low) / math.log(high / low) if value > 0 else 0.0
    return (value - low) / (high - low)


def _wider(parameter: Parameter) -> tuple[float, float]:
    """Both ends moved out: by a factor of two in log scale, else by half the range."""
    low, high = parameter.values
    if parameter.log:
        return low / 2, high * 2
    return low - (high - low) / 2, high + (high - low) / 2


def _shown(name: str, value: float) -> str:
    return f"{max(1, round(value))}" if TrainConfig.is_integer(name) else f"{value:.3g}"

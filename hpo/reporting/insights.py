"""Advice on the search space from a finished study: what mattered, and where to search next."""

from __future__ import annotations

import math
import shlex
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import optuna
from optuna import Study

from hpo.config import Parameter, StudyConfig, toml_text
from hpo.study import TrialRow, complete_best_first

if TYPE_CHECKING:
    # It brings scikit-learn, a second of every start of hpo.run, and only the report needs it.
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

MIN_COMPLETE = 10  # with fewer COMPLETE trials, importances and bounds are noise
BEST_SHARE = 0.2  # share of the COMPLETE trials that count as the best
MIN_HAVING = 2  # best trials that must have a conditional parameter
NEAR = 0.1  # width of either end, as a share of the range
UNIMPORTANT = 0.05  # shares below this are small


@dataclass(frozen=True)
class Hint:
    """One sentence of advice on what to try next.

    Attributes:
        parameter: hyperparameter that the sentence is about.
        text: the sentence.
        option: option of hpo.run that follows the advice; "" if there is none.
    """

    parameter: str
    text: str
    option: str = ""


def importances(study: Study, trials: Sequence[TrialRow]) -> dict[str, float]:
    """Return each parameter's share in reaching the best tenth of the values, largest first.

    PED-ANOVA with its defaults, as in optuna-dashboard, so that both show the same figures.

    Args:
        study: holds at least these trials.
        trials: trials to judge from; only COMPLETE ones count.

    Returns:
        Shares by parameter, which add up to 1; {} if fewer than 10 trials are COMPLETE, or if all
        have the same value.
    """
    from optuna.importance import PedAnovaImportanceEvaluator

    return _shares(study, trials, PedAnovaImportanceEvaluator())


def variance_shares(study: Study, trials: Sequence[TrialRow]) -> dict[str, float]:
    """Return each parameter's share in the variance of the values (fANOVA), largest first.

    Conditional parameters that some of the trials lack are left out: fANOVA cannot judge them.

    Args:
        study: holds at least these trials.
        trials: trials to judge from; only COMPLETE ones count.

    Returns:
        Shares by parameter; {} if fewer than 10 trials are COMPLETE, or if all have the same value.
    """
    from optuna.importance import FanovaImportanceEvaluator

    return _shares(study, trials, FanovaImportanceEvaluator(seed=0))


def _shares(
    study: Study,
    trials: Sequence[TrialRow],
    evaluator: FanovaImportanceEvaluator | PedAnovaImportanceEvaluator,
) -> dict[str, float]:
    finished = complete_best_first(trials)
    if len(finished) < MIN_COMPLETE or finished[0].value == finished[-1].value:
        return {}
    numbers = {trial.number for trial in finished}
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # Optuna announces each new study
    part = optuna.create_study(direction=study.direction)
    part.add_trials([t for t in study.get_trials(deepcopy=False) if t.number in numbers])
    with warnings.catch_warnings():
        # The warning is of a conditional parameter that only one trial has. Its share is small,
        # and no advice follows from it, because fANOVA leaves the parameter out.
        warnings.filterwarnings("ignore", message="Some regimes for parameter")
        found = optuna.importance.get_param_importances(part, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}


def hints(
    config: StudyConfig,
    trials: Sequence[TrialRow],
    importance: Mapping[str, float],
    variance: Mapping[str, float],
) -> list[Hint]:
    """Return hints on bounds that the best trials press against, then on parameters without effect.

    PED-ANOVA and fANOVA often disagree about a study of some ten trials. A parameter counts as
    without effect only if both find its share small.

    Args:
        config: config of the study.
        trials: all trials, as read from the study.
        importance: shares by parameter, see `importances`.
        variance: shares by parameter, see `variance_shares`.
    """
    finished = complete_best_first(trials)
    if len(finished) < MIN_COMPLETE:
        return []
    best = finished[0]
    idle = [
        Hint(
            name,
            f"{name} hardly matters (importance {share:.2f}, share of the variance "
            f"{variance[name]:.2f}): fix it, for instance at {best.shown(name)}, and spend the "
            "trials on other parameters.",
        )
        for name, share in importance.items()
        if max(share, variance.get(name, 1.0)) < UNIMPORTANT
    ]
    return edge_hints(config, trials) + idle


def edge_hints(config: StudyConfig, trials: Sequence[TrialRow]) -> list[Hint]:
    """Return hints on bounds that the best trials press against, each with options to go on.

    Args:
        config: config of the study.
        trials: all trials, as read from the study.
    """
    finished = complete_best_first(trials)
    if len(finished) < MIN_COMPLETE:
        return []
    best = finished[: math.ceil(BEST_SHARE * len(finished))]
    return [
        hint
        for name, parameter in config.space.items()
        if parameter.choices is None and (hint := _pressed(name, config, best))
    ]


def _pressed(name: str, config: StudyConfig, best: Sequence[TrialRow]) -> Hint | None:
    """Return a hint if most of the best trials lie in the last tenth of one end of the range.

    Only the trials that have the parameter are counted, and more than half of them must lie there.
    `epochs` is a cap, so the best epoch is counted instead, and only at the upper end: a trial that
    peaks early does so under any cap, and a lower cap would only cut off the others.
    """
    parameter, model = config.space[name], config.hyperparameters
    low, high = parameter.values
    best = [trial for trial in best if name in trial.params]
    if len(best) < MIN_HAVING:
        return None
    used = [trial.best_epoch if name == "epochs" else trial.params[name] for trial in best]
    locations = [position(parameter, value) for value in used]
    legal_low, legal_high = model.bounds(name)
    wider_low, wider_high = _wider(parameter, whole=model.is_integer(name))
    ends = (
        ("low", low, max(wider_low, legal_low), sum(place <= NEAR for place in locations)),
        ("high", high, min(wider_high, legal_high), sum(place >= 1 - NEAR for place in locations)),
    )
    for end, bound, wider, n in ends[1:] if name == "epochs" else ends:
        if 2 * n > len(best) and wider != bound:
            who = f"{n} of the {len(best)}" if n < len(best) else f"the {n}"
            shown = f"{wider:.12g}"
            what = "best epochs" if name == "epochs" else "values"
            return Hint(
                name,
                f"{name}: the {what} of {who} best trials press against {end} = {bound:g} (the "
                f"last tenth of the range, or beyond). Try {end} = {shown}.",
                _option(name, parameter, end, shown),
            )
    return None


def _option(name: str, parameter: Parameter, end: str, wider: str) -> str:
    """Return the option of hpo.run that widens a range, which also takes --accept-changes."""
    if parameter.step is not None:
        return ""  # both ends must lie on the steps
    table = parameter.model_dump(exclude_defaults=True) | {end: float(wider)}
    return f"--set {shlex.quote(f'space.{name}={toml_text(table)}')}"


def position(parameter: Parameter, value: float) -> float:
    """Return the place of a value between low (0) and high (1), on the parameter's own scale.

    The scale is logarithmic where the range is.

    Args:
        parameter: a parameter with a range.
        value: a value of the parameter.
    """
    low, high = parameter.values
    if parameter.log:
        return math.log(value / low) / math.log(high / low) if value > 0 else 0.0
    return (value - low) / (high - low)


def _wider(parameter: Parameter, *, whole: bool) -> tuple[float, float]:
    """Return both ends moved outwards: by a factor of two in log scale, else by half the range.

    They are rounded, but never back to the ends or inside them.

    Args:
        parameter: a parameter with a range.
        whole: True if it takes integers.
    """
    low, high = parameter.values
    step = (high - low) / 2
    below, above = (low / 2, high * 2) if parameter.log else (low - step, high + step)
    if whole:
        least = 1 if parameter.log else -math.inf  # 0 has no place in log scale
        return max(math.floor(below), least), math.ceil(above)
    return _in_few_digits(below, low), _in_few_digits(above, high)


def _in_few_digits(value: float, end: float) -> float:
    """Return a value in three digits, or in as many more as keep it on its side of another one."""
    for digits in range(3, 17):
        rounded = float(f"{value:.{digits}g}")
        if (rounded - end) * (value - end) > 0:
            return rounded
    return value

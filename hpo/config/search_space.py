"""Parameters of trials: drawn by Optuna from a study's [space], and turned into hyperparameters.

`parameter` defines a range of [space]; `recsys.config` has the values that are legal at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hpo.config.parameter import Parameter, in_order
from hpo.config.study_config import StudyConfig
from recsys.config import Hyperparameters
from recsys.errors import ConfigError

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

# Hyperparameters whose defaults a new study adjusts to its data and device, see hpo.study.
ADJUSTED = frozenset({"batch_size", "lr", "neighbours", "neighbour_weight", "reverse_weight"})


class SearchSpace:
    """The hyperparameters that a study samples; all others stay at the default configuration.

    A conditional parameter also stays at its default in trials where its condition does not hold,
    and is then missing among the trial's params.
    """

    def __init__(self, config: StudyConfig) -> None:
        self._parameters = {name: config.space[name] for name in in_order(config.space)}
        self._base = config.train_config
        self._is_integer = config.hyperparameters.is_integer

    def suggest(self, trial: Trial, seed: int) -> Hyperparameters:
        """Draw every active parameter in the order of the study file, but after its conditions.

        A trial whose start an outage broke keeps the parameters that were stored, and the others
        come out as they would have.

        Args:
            trial: the trial to draw for.
            seed: seed of this training.

        Returns:
            The hyperparameters, even if their class refuses the combination, see `refusal`.
        """
        drawn: dict[str, float] = {}
        stored = () if self.is_complete(trial.params) else tuple(trial.params)
        for name, spec in self._parameters.items():
            if spec.is_active(drawn):
                if name in stored:
                    _repeat_draw(trial, name)
                drawn[name] = _suggest(trial, name, self._distributions[name])
        return self.config(drawn, seed)

    def config(self, params: Mapping[str, float], seed: int) -> Hyperparameters:
        """Return the hyperparameters of a stored trial, as `suggest` made it.

        Args:
            params: params of the trial.
            seed: seed of the training.
        """
        try:
            return self._base.replace(**params, seed=seed)
        except Exception:  # a rule of the model's own, see `refusal`; else it is raised again here
            values = {**self._base.as_dict(), **params, "seed": seed}
            return self._base.of_single_values(values)

    def known_config(self, params: Mapping[str, float], seed: int) -> Hyperparameters | None:
        """Return `config`, or None for the params of another program's trial, if they make none.

        Args:
            params: params of the trial.
            seed: seed of the training.
        """
        try:
            return self.config(params, seed)
        except ConfigError:
            return None

    def params(self, config: Hyperparameters) -> dict[str, float]:
        """Return the params of a trial with this config, the inverse of `config`."""
        values, chosen = config.as_dict(), dict[str, float]()
        for name, spec in self._parameters.items():
            if spec.is_active(chosen):
                chosen[name] = values[name]
        return chosen

    def changed(self, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return today's distributions of the params whose ranges have changed and still hold them.

        Args:
            trial: a trial of the study.
        """
        return {
            name: now
            for name, now in self._distributions.items()
            if name in trial.params
            and now != trial.distributions[name]
            and _holds(now, trial.params[name])
        }

    @cached_property
    def _distributions(self) -> dict[str, BaseDistribution]:
        """Return today's distribution of each parameter."""
        return {
            name: _distribution(spec, whole=self._is_integer(name))
            for name, spec in self._parameters.items()
        }

    def is_default(self, params: Mapping[str, float]) -> bool:
        """Return True if a trial with these params has the default configuration."""
        return self.known_config(params, self._base.seed) == self._base

    def is_complete(self, params: Mapping[str, float]) -> bool:
        """Return True if these are exactly the active parameters; False while a trial draws."""
        active = {name for name, spec in self._parameters.items() if spec.is_active(params)}
        return active == set(params)


def refusal(config: Hyperparameters) -> str:
    """Return why the class of a config refuses its combination of values; "" if it does not.

    Args:
        config: a config whose values are valid one by one. Its class may be the user's own, with
            rules across values, so its errors may be of any kind.
    """
    name = type(config).__name__
    try:
        config.replace()
    except ConfigError as error:
        return f"{name} refuses it: {'; '.join(error.problems)}"
    except Exception as error:
        return f"{name} refuses it: {type(error).__name__}: {error}"
    return ""


def clamped_defaults(config: StudyConfig) -> dict[str, float]:
    """Return the replacements for all defaults of trial 0 outside of their range or choices.

    Args:
        config: a study with valid base and space.
    """
    values, chosen, moved = config.train_config.as_dict(), dict[str, float](), dict[str, float]()
    for name in in_order(config.space):
        spec = config.space[name]
        if not spec.is_active(chosen):
            continue
        chosen[name] = values[name]
        if not spec.holds(values[name]):
            chosen[name] = moved[name] = config.typed(name, spec.nearest(values[name]))
    return moved


def left_open(config: StudyConfig) -> frozenset[str]:
    """Return the hyperparameters that a new study adjusts, because [base] does not give them."""
    return frozenset() if config.trainable else ADJUSTED - config.base.keys()


def with_defaults(config: StudyConfig, values: Mapping[str, float]) -> StudyConfig:
    """Return the study with other defaults for some hyperparameters.

    Args:
        config: the study.
        values: the new defaults by hyperparameter.
    """
    return config.model_copy(update={"base": {**config.base, **values}})


def clamped_lines(config: StudyConfig, values: Mapping[str, float]) -> list[str]:
    """Return a line on each default that `clamped_defaults` replaced.

    Args:
        config: the study with its former defaults.
        values: the replacements by hyperparameter.
    """
    before = config.train_config.as_dict()
    return [
        f"{name}: default {before[name]:g} clamped to {value:g}, the nearest value in "
        f"{config.space[name]}"
        for name, value in values.items()
    ]


def _repeat_draw(trial: Trial, name: str) -> None:
    """Draw a stored parameter again, so that the sampler's random numbers go on behind it."""
    distribution = trial.distributions[name]
    if name in {*trial._fixed_params, *(trial.relative_params or ())} or distribution.single():
        return  # nothing was drawn for it
    frozen = trial._get_latest_trial()
    trial.study.sampler.sample_independent(trial.study, frozen, name, distribution)


def _distribution(spec: Parameter, *, whole: bool) -> BaseDistribution:
    """Return the distribution of a parameter, `whole` for integers."""
    from optuna import distributions

    if spec.choices is not None:
        choices = [int(choice) if whole else choice for choice in spec.choices]
        return distributions.CategoricalDistribution(choices)
    assert spec.low is not None and spec.high is not None
    if whole:
        low, high, step = int(spec.low), int(spec.high), int(spec.step or 1)
        return distributions.IntDistribution(low, high, log=spec.log, step=step)
    return distributions.FloatDistribution(spec.low, spec.high, log=spec.log, step=spec.step)


def _holds(distribution: BaseDistribution, value: float) -> bool:
    """Return True if a value could be drawn from a distribution."""
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except ValueError:  # no choice of a categorical one
        return False


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> float:
    """Draw one parameter."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        choices: Any = distribution.choices  # numbers, as the study file has them
        chosen: float = trial.suggest_categorical(name, choices)
        return chosen
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high, step, log = (getattr(distribution, key) for key in ("low", "high", "step", "log"))
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, low, high, step=step, log=log)
    return trial.suggest_float(name, low, high, step=step, log=log)

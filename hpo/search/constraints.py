"""Limits on configurations, checked before a training, and on metrics, checked after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from optuna.trial import FrozenTrial

from hpo.config import SearchSpace, StudyConfig
from hpo.errors import SettingsError
from recsys.config import Hyperparameters

Measure = Callable[[Hyperparameters], float]
Metrics = Mapping[str, float]
UNMEASURED = 1.0  # the whole range of most metrics; samplers take finite numbers only


def metric_excess(config: StudyConfig, metrics: Metrics) -> dict[str, float]:
    """Return by how much each limit of a metric is broken, in Optuna's form: feasible where <= 0.

    A metric that was not measured breaks its limits by UNMEASURED.

    Args:
        config: the study's config.
        metrics: metrics of a training, by name.
    """
    found = {}
    for name, limit in config.constraints.metrics.items():
        value = metrics.get(name)
        if limit.min is not None:
            found[f"{name}.min"] = UNMEASURED if value is None else limit.min - value
        if limit.max is not None:
            found[f"{name}.max"] = UNMEASURED if value is None else value - limit.max
    return found


def broken_limits(config: StudyConfig, metrics: Metrics) -> str:
    """Return the broken limits of metrics as `coverage_at_10 0.05 < 0.2`; "" if all are met.

    Args:
        config: the study's config.
        metrics: metrics of a training, by name.
    """
    told = []
    for name, limit in config.constraints.metrics.items():
        value = metrics.get(name)
        if value is None:
            told.append(f"{name} was not measured")
        elif limit.min is not None and value < limit.min:
            told.append(f"{name} {value:.4g} < {limit.min:g}")
        elif limit.max is not None and value > limit.max:
            told.append(f"{name} {value:.4g} > {limit.max:g}")
    return ", ".join(told)


def why_out(config: StudyConfig, trial: FrozenTrial, metrics: Metrics) -> str:
    """Return why a COMPLETE trial of the list `infeasible` cannot win: every limit that it breaks.

    The size of a model is not among its metrics; by how much it breaks its limit is stored with the
    trial.

    Args:
        config: the study's config.
        trial: a COMPLETE trial of the list.
        metrics: its metrics at its best epoch.
    """
    told, limit = [broken_limits(config, metrics)], config.constraints.model_mb
    excess = trial.constraints.get("model_mb", 0.0)
    if limit is not None and excess > 0:
        told.append(f"model_mb {limit + excess:.4g} > {limit:g}")
    return ", ".join(filter(None, told)) or "model_mb"


class Constraints:
    """The limits of a study and the measures of the limited quantities.

    Args:
        config: the study's config.
        measures: by the name of the limit; only limits that the study sets need one. Each measure
            must be monotonic in every hyperparameter, whatever the values of the others.
    """

    def __init__(self, config: StudyConfig, measures: Mapping[str, Measure]) -> None:
        self._config, self._space = config, SearchSpace(config)
        limits = {"model_mb": config.constraints.model_mb}
        self._limits: dict[str, tuple[float, Measure]] = {
            name: (limit, measures[name]) for name, limit in limits.items() if limit is not None
        }

    def excess(self, config: Hyperparameters) -> dict[str, float]:
        """Return by how much each limit is exceeded, in Optuna's form: feasible where <= 0."""
        return {name: measure(config) - limit for name, (limit, measure) in self._limits.items()}

    def violation(self, excess: Mapping[str, float]) -> str:
        """Return the exceeded limits as `model_mb 61.2 > 50`; "" if all limits are met."""
        return ", ".join(
            f"{name} {limit + excess[name]:.4g} > {limit:g}"
            for name, (limit, _) in self._limits.items()
            if excess[name] > 0
        )

    def all_excess(self, trial: FrozenTrial, metrics: Metrics) -> dict[str, float]:
        """Return by how much a finished trial exceeds each limit, in Optuna's form.

        Args:
            trial: a finished trial.
            metrics: its metrics at its best epoch; a trial that is not COMPLETE may have none.
        """
        found = {}
        if self._limits and (config := self._space.known_config(trial.params, seed=0)):
            found = self.excess(config)
        if metrics or trial.state.name == "COMPLETE":
            found |= metric_excess(self._config, metrics)
        return found

    def broken_by(
        self, trials: Iterable[FrozenTrial], metrics_of: Callable[[FrozenTrial], Metrics]
    ) -> tuple[int, ...]:
        """Return the numbers of COMPLETE trials that exceed a limit.

        Args:
            trials: trials of the study.
            metrics_of: returns a trial's metrics at its best epoch.
        """
        if not self._limits and not self._config.constraints.metrics:
            return ()
        return tuple(
            trial.number
            for trial in trials
            if trial.state.name == "COMPLETE"
            and any(excess > 0 for excess in self.all_excess(trial, metrics_of(trial)).values())
        )

    def check(self) -> None:
        """Check that at least one configuration of the space meets each limit.

        Raises:
            SettingsError: no configuration of the space meets some limit.
        """
        problems = []
        for name, (limit, measure) in self._limits.items():
            least = self._least(measure)
            if least > limit:
                problems.append(
                    f"constraints.{name}: no configuration of the space has at most {limit:g}, "
                    f"the least is {least:.4g}; raise the limit, or widen the space downwards"
                )
        if problems:
            raise SettingsError(problems)

    def _least(self, measure: Measure) -> float:
        """Return the least value of a measure over the space."""
        best = self._config.train_config
        for name, parameter in self._config.space.items():
            values = [self._config.typed(name, value) for value in parameter.values]
            ends = [best.replace(**{name: value}) for value in values]
            best = min(best, *ends, key=measure)
        return measure(best)

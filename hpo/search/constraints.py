"""Limits on configurations, checked before a training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from optuna.trial import FrozenTrial

from hpo.config import SearchSpace, StudyConfig
from hpo.errors import SettingsError
from recsys.config import Hyperparameters

Measure = Callable[[Hyperparameters], float]


class Constraints:
    """The limits of a study and the measures of the limited quantities.

    Args:
        config: the study's config.
        measures: by the name of the limit; only limits that the study sets need one. Each measure
            must be monotonic in every hyperparameter, whatever the values of the others.
    """

    def __init__(self, config: StudyConfig, measures: Mapping[str, Measure]) -> None:
        self._config = config
        limits = config.constraints.model_dump(exclude_none=True)
        self._limits: dict[str, tuple[float, Measure]] = {
            name: (limit, measures[name]) for name, limit in limits.items()
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

    def broken_by(self, trials: Iterable[FrozenTrial]) -> tuple[int, ...]:
        """Return the numbers of COMPLETE trials that exceed a limit set after they had run."""
        if not self._limits:
            return ()
        space = SearchSpace(self._config)
        return tuple(
            trial.number
            for trial in trials
            if trial.state.name == "COMPLETE"
            and self.violation(self.excess(space.config(trial.params, seed=0)))
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

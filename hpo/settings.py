"""StudyConfig: all that defines a study; and Places, where it lives.

Only Places reads the environment, only hpo/study_file.py reads study files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from recsys.config import TrainConfig
from recsys.errors import ConfigError
from recsys.interactions import Repeats
from recsys.split import EVAL_USERS, Method

OBJECTIVE = "recall_at_10"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Section):
    """Which interactions, and how to read them. `source` is a name or a path.

    `item_features`, `user_features`: columns of the side tables that models learn from.
    """

    source: str = "ml-100k"
    user_col: str | None = None
    item_col: str | None = None
    time_col: str | None = None
    repeats: Repeats = "drop"
    item_features: tuple[str, ...] = ()
    user_features: tuple[str, ...] = ()


class SplitConfig(_Section):
    """See `recsys.split.split`. A stored study names its method."""

    method: Method | None = None
    fraction: float = Field(0.2, gt=0, lt=1)
    seed: int = 0
    eval_users: int = Field(EVAL_USERS, ge=1)


class Parameter(_Section):
    """One dimension of the search space: a range, or choices.

    Whether it is an integer follows from the hyperparameter itself.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = Field(None, gt=0)
    choices: tuple[float, ...] | None = Field(None, min_length=2)

    @model_validator(mode="after")
    def _is_range_or_choices(self) -> Self:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log or self.step:
                raise ValueError("give either choices, or low and high")
        elif self.low is None or self.high is None:
            raise ValueError("give low and high, or choices")
        elif self.low >= self.high:
            raise ValueError(f"low={self.low:g} must be below high={self.high:g}")
        elif self.log and self.step:
            raise ValueError("log and step exclude each other")
        elif self.log and self.low <= 0:
            raise ValueError(f"low={self.low:g} must be > 0 with log")
        return self

    def holds(self, value: float) -> bool:
        """Whether the search could suggest this value (steps aside)."""
        if self.choices is not None:
            return value in self.choices
        assert self.low is not None and self.high is not None
        return self.low <= value <= self.high

    @property
    def values(self) -> tuple[float, ...]:
        """The ends of the range, or all choices."""
        if self.choices is not None:
            return self.choices
        assert self.low is not None and self.high is not None
        return (self.low, self.high)


class SamplerConfig(_Section):
    """How configs are suggested. `startup`: that many random trials first."""

    name: Literal["tpe", "random"] = "tpe"
    startup: int = Field(10, ge=0)


class PrunerConfig(_Section):
    """When a hopeless trial ends early.

    median: its best value so far lies below the median of the finished trials at that epoch.

    `startup`: finished trials before anything is pruned. `warmup`: epochs that every trial gets.
    """

    name: Literal["median", "none"] = "median"
    startup: int = Field(5, ge=0)
    warmup: int = Field(5, ge=0)


class PromotionConfig(_Section):
    """What a model must show on test users to become the champion, see `hpo.gate.verdict`.

    `min_gain`: the lower end of the 95% interval of its gain in recall_at_10 over the champion
    must lie above this. `must_beat`: for baselines in here it must lie above 0. `max_model_mb`:
    of all files of the model, in millions of bytes. `max_latency_ms`: median time of one answer.
    """

    min_gain: float = Field(0.002, ge=0, lt=1)
    must_beat: tuple[Literal["champion", "popularity", "itemknn", "ease"], ...] = Field(
        ("champion", "itemknn"), min_length=1
    )
    max_model_mb: float | None = Field(None, gt=0)
    max_latency_ms: float | None = Field(None, gt=0)


class StudyConfig(_Section):
    """All that defines a study. Stored with it, so the other commands need only its name."""

    name: str | None = None
    data: DataConfig = DataConfig()
    split: SplitConfig = SplitConfig()
    base: dict[str, float] = {}
    space: dict[str, Parameter] = Field(min_length=1)
    n_trials: int = Field(50, ge=1)
    seed: int = Field(0, ge=0, lt=2**31)
    workers: int | None = Field(None, ge=1, le=256)
    timeout: float | None = Field(None, gt=0)
    trial_seconds: float | None = Field(None, gt=0)
    description: str = ""
    tags: dict[str, str] = {}
    sampler: SamplerConfig = SamplerConfig()
    pruner: PrunerConfig = PrunerConfig()
    promotion: PromotionConfig = PromotionConfig()

    @field_validator("data", mode="before")
    @classmethod
    def _a_name_is_enough(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value

    @property
    def train_config(self) -> TrainConfig:
        """The default configuration, which is also trial 0."""
        return TrainConfig.from_dict({name: _plain(name, v) for name, v in self.base.items()})

    def problems(self) -> list[str]:
        """What the single fields cannot know: base and space against the hyperparameters."""
        try:
            base = self.train_config
        except ConfigError as error:
            return [f"[base] {problem}" for problem in error.problems]
        return [
            f"[space.{name}] {problem}"
            for name, parameter in self.space.items()
            for problem in _space_problems(name, parameter, base)
        ]


def _plain(name: str, value: float) -> float:
    """TOML writes 64 and 64.0; integers of TrainConfig take both if nothing is lost."""
    whole = TrainConfig.is_integer(name) if name in TrainConfig.names() else False
    return int(value) if whole and float(value).is_integer() else value


def _space_problems(name: str, parameter: Parameter, base: TrainConfig) -> list[str]:
    searchable = [known for known in TrainConfig.names() if known != "seed"]
    if name not in searchable:
        return [f"no such hyperparameter; known: {', '.join(searchable)}"]
    problems = []
    low, high = TrainConfig.bounds(name)
    outside = [value for value in parameter.values if not low <= value <= high]
    if outside:
        problems.append(f"{outside[0]:g} is out of range: {low:g}..{high:g} is allowed")
    numbers = [*parameter.values, *([parameter.step] if parameter.step else [])]
    if TrainConfig.is_integer(name) and not all(float(number).is_integer() for number in numbers):
        problems.append("takes whole numbers only")
    default = getattr(base, name)
    if not problems and not parameter.holds(default):
        problems.append(
            f"the default {default:g} lies outside, and trial 0 is the default configuration: "
            f"widen the range or set [base] {name}"
        )
    return problems


@dataclass(frozen=True)
class Places:
    """Where a study and its mirror live. The same defaults in every command.

    Attributes:
        storage: SQLAlchemy URL of the Optuna storage.
        tracking_uri: of MLflow: sqlite:///..., http(s)://...
        experiment: MLflow experiment of the study's runs.
    """

    storage: str = "sqlite:///studies/optuna.db"
    tracking_uri: str = "sqlite:///studies/mlflow.db"
    experiment: str = "two-tower-hpo"

    @classmethod
    def resolve(
        cls, storage: str | None, tracking_uri: str | None, experiment: str | None = None
    ) -> Self:
        """Options first, then MLFLOW_TRACKING_URI, then the defaults."""
        uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        return cls(storage or cls.storage, uri or cls.tracking_uri, experiment or cls.experiment)

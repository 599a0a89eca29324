"""StudyConfig: all that defines a study.

Only hpo/config/toml_file.py reads study files. What one field cannot know (base against space,
conditions, warm starts) is in hpo/config/validation.py.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from hpo.config.algorithms import PrunerConfig, SamplerConfig
from hpo.config.parameter import Parameter
from recsys.config import TrainConfig
from recsys.data.interactions import Repeats
from recsys.data.splitting import EVAL_USERS, Method
from recsys.evaluation.metrics import MetricName

TAG_KEY = re.compile(r"[\w.\- /:]{1,250}")  # what MLflow takes
OUR_TAGS = ("hpo.", "optuna.", "env.", "mlflow.")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DataConfig(_Section):
    """Which interactions, and how to read them."""

    source: str = "ml-100k"
    """A name (demo, ml-100k, ...), a file or a folder."""
    user_col: str | None = None
    """Column of user ids; left out: recognised by its name."""
    item_col: str | None = None
    """Column of item ids."""
    time_col: str | None = None
    """Column of times."""
    repeats: Repeats = "drop"
    """Further rows of the same user and item: drop or keep them."""
    item_features: tuple[str, ...] = ()
    """Columns of the items' table that the model learns from."""
    user_features: tuple[str, ...] = ()
    """Columns of the users' table that the model learns from."""


class SplitConfig(_Section):
    """See `recsys.data.splitting.split`. A stored study names its method."""

    method: Method | None = None
    """How rows are held out; left out: as the data comes, else temporal."""
    fraction: float = Field(0.2, gt=0, lt=1)
    """Held out for test, then of what is left for validation."""
    seed: int = 0
    """Of random methods, and of the sample of validation users."""
    eval_users: int = Field(EVAL_USERS, ge=1)
    """Validation asks at most so many users."""


class PromotionConfig(_Section):
    """What a model must show on test users to become the champion, see `hpo.gate.rules`."""

    min_gain: float = Field(0.002, ge=0, lt=1)
    """The lower end of the 95% interval of its gain in the objective over the champion must lie
    above this; the default was chosen for recall_at_10."""
    max_loss: float = Field(0.05, ge=0, lt=1)
    """hpo.retrain: that end must lie above minus this share of what the champion has."""
    must_beat: tuple[Literal["champion", "popularity", "itemknn", "ease"], ...] = Field(
        ("champion", "itemknn"), min_length=1
    )
    """For baselines in here the lower end must lie above 0."""
    max_model_mb: float | None = Field(None, gt=0)
    """Of all files of the model, in millions of bytes; left out: no limit."""
    max_latency_ms: float | None = Field(None, gt=0)
    """Median time of one answer; left out: no limit."""


class ConstraintsConfig(_Section):
    """What a configuration must keep to. One that does not is not trained: its trial is PRUNED."""

    model_mb: float | None = Field(None, gt=0)
    """Largest size of the model's tensors, in millions of bytes; see `recsys.models.size`."""


class RetriesConfig(_Section):
    """How often a config is trained again, by what ended its training.

    Interruptions and a dead launcher are nobody's fault and do not count.
    """

    worker_died: int = Field(2, ge=0, le=100)
    """Its worker died or hung: 2 retries are 3 tries in all."""
    out_of_memory: int = Field(1, ge=0, le=100)
    """It did not fit into memory, perhaps only because others used memory too."""


class StudyConfig(_Section):
    """All that defines a study. Stored with it, so the other commands need only its name."""

    name: str | None = Field(None, min_length=1)
    """Of the study; left out: FILE-DATA."""
    data: DataConfig = DataConfig()
    split: SplitConfig = SplitConfig()
    base: dict[str, float] = {}
    """The default configuration, which is trial 0; what is left out has the model's defaults."""
    space: dict[str, Parameter] = Field(min_length=1)
    """What is searched: hyperparameter = { low, high } or { choices }."""
    objective: MetricName = "recall_at_10"
    """What is maximized, on validation: a trial's value is that of its best epoch. The gate asks
    for it, too."""
    n_trials: int = Field(50, ge=1, le=1_000_000)
    """So many trials finish (COMPLETE or PRUNED)."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of the study; every trial's seed derives from it."""
    workers: int | None = Field(None, ge=1, le=256)
    """Processes that train; left out: a core each, at most 8."""
    threads: int | None = Field(None, ge=1, le=1024)
    """Of each worker; left out: as many as pay, at most cores / workers."""
    device_slots: int = Field(1, ge=1, le=64)
    """Workers that share one GPU."""
    timeout: float | None = Field(None, gt=0)
    """Seconds after which no further trial starts."""
    trial_seconds: float | None = Field(None, gt=0)
    """Seconds of training after which a trial ends as bad (PRUNED, time-limit)."""
    description: str = ""
    """Shown in MLflow."""
    tags: dict[str, str] = {}
    """Of the study's run in MLflow."""
    sampler: SamplerConfig = SamplerConfig()
    pruner: PrunerConfig = PrunerConfig()
    constraints: ConstraintsConfig = ConstraintsConfig()
    retries: RetriesConfig = RetriesConfig()
    warm_starts: tuple[dict[str, float], ...] = ()
    """Configurations to try right after trial 0; what is left out comes from [base]."""
    promotion: PromotionConfig = PromotionConfig()

    @field_validator("data", mode="before", json_schema_input_type=str | DataConfig)
    @classmethod
    def _a_name_is_enough(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value

    @field_validator("tags")
    @classmethod
    def _mlflow_takes_them(cls, tags: dict[str, str]) -> dict[str, str]:
        """One bad key would keep all of the study out of MLflow, at every sync."""
        bad = [
            key
            for key in tags
            if not TAG_KEY.fullmatch(key)
            or posixpath.normpath(key) != key
            or key.startswith((".", "/"))
        ]
        ours = [key for key in tags if key.startswith(OUR_TAGS)]
        if bad:
            raise ValueError(
                f"MLflow takes no tag {', '.join(map(repr, bad))}: use 1 to 250 letters, digits, "
                "underscores, dashes, periods, spaces, colons and single slashes"
            )
        if ours:
            raise ValueError(
                f"{', '.join(map(repr, ours))}: tags that begin with {', '.join(OUR_TAGS)} are "
                "written by hpo and MLflow"
            )
        return tags

    @property
    def train_config(self) -> TrainConfig:
        """The default configuration, which is also trial 0."""
        return TrainConfig.from_dict({name: plain(name, v) for name, v in self.base.items()})

    @property
    def is_conditional(self) -> bool:
        """Whether some parameter is searched in some trials only."""
        return any(parameter.when for parameter in self.space.values())

    def with_whole_base(self) -> Self:
        """The same study with every hyperparameter in its base, whatever defaults become."""
        base = self.train_config.as_dict()
        del base["seed"]  # every trial has its own
        return self.model_copy(update={"base": base})


def plain(name: str, value: float) -> float:
    """TOML writes 64 and 64.0; integers of TrainConfig take both if nothing is lost."""
    whole = TrainConfig.is_integer(name) if name in TrainConfig.names() else False
    return int(value) if whole and float(value).is_integer() else value

"""The definition of a study.

Only hpo/config/toml_file.py reads study files. hpo/config/cross_checks.py checks what spans several
fields: base against space, conditions, warm starts.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from hpo.config.algorithms import PrunerConfig, SamplerConfig
from hpo.config.error_text import IS_NUMBER, IS_WHOLE, Number, Positive, Switch, Whole
from hpo.config.locations import MODEL, checked_model_name
from hpo.config.notify import NotifyConfig
from hpo.config.parameter import Parameter
from hpo.errors import SettingsError
from hpo.trainables import hyperparameters_of
from recsys.config import Hyperparameters
from recsys.data import EVAL_USERS, Method, Repeats
from recsys.evaluation import (
    LIMIT_PATTERN,
    METRIC_PATTERN,
    MetricName,
    check_limited,
    check_metric,
    family_and_cutoff,
)

TAG_KEY = re.compile(r"[\w.\- /:]{1,250}")  # MLflow's rule
MAX_NAME = 250  # characters of a run's name in MLflow; Optuna takes 512
MAX_DEVICE_SLOTS = 64
MAX_TEACHERS = 16
OUR_TAGS = ("hpo.", "optuna.", "env.", "mlflow.")


class _Section(BaseModel):
    """A table of a study file; its fields' docstrings become descriptions in the JSON Schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DataConfig(_Section):
    """The interactions, and how to read them."""

    source: str = "ml-100k"
    """A name (demo, ml-100k, ...), a file or a folder, an address of files (https://, s3://), or
    with sql the URL of a database; its password is in an environment variable ($NAME)."""
    sql: str | None = Field(None, min_length=1)
    """Query of the interactions in a database."""
    user_col: str | None = None
    """Column of user ids; left out: recognised by its name. Without a header line, its position
    from 1; so for all columns."""
    item_col: str | None = None
    """Column of item ids."""
    time_col: str | None = None
    """Column of times."""
    event_col: str | None = None
    """Column of event words."""
    rating_col: str | None = None
    """Column of ratings, which count with min_rating only."""
    header: Switch = True
    """False if text files begin with data instead of column names."""
    time_format: str | None = Field(None, min_length=2)
    """Form of times in text, such as "%m/%d/%Y %H:%M"; left out: recognised."""
    event_weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False), IS_NUMBER]] = {}
    """Weights of event words that are unknown or weigh otherwise; 0 leaves their rows out."""
    repeats: Repeats = "drop"
    """Drop or keep further rows of the same user and item."""
    min_rating: Annotated[float, Field(allow_inf_nan=False), IS_NUMBER] | None = None
    """Lowest rating that counts as interest; left out: every rating does."""
    min_user_rows: Whole = Field(1, ge=1)
    """Fewest rows of a user; with min_item_rows repeated until all have enough."""
    min_item_rows: Whole = Field(1, ge=1)
    """Fewest rows of an item."""
    item_features: tuple[str, ...] = ()
    """Feature columns of the items' table."""
    user_features: tuple[str, ...] = ()
    """Feature columns of the users' table."""

    @field_validator(
        "user_col", "item_col", "time_col", "event_col", "rating_col", mode="before",
        json_schema_input_type=str | int | None,
    )  # fmt: skip
    @classmethod
    def _a_position_is_a_name(cls, value: Any) -> Any:
        """Turn the position of a column without a name into text, as on the command line."""
        return str(value) if type(value) is int else value


class SplitConfig(_Section):
    """The split, see `recsys.data.splitting.split`. A stored study always has its method."""

    method: Method | None = None
    """Method of holding out rows; left out: the data's own split if it has one, else temporal."""
    fraction: Number = Field(0.2, gt=0, lt=1)
    """Part of the rows held out for test, then part of the rest held out for validation."""
    seed: Whole = 0
    """Seed of random methods, and of the sample of validation users."""
    eval_users: Whole = Field(EVAL_USERS, ge=1)
    """Highest number of users in validation; of more users a random sample is taken."""


class PromotionConfig(_Section):
    """The refit of the winner, and what makes it the champion, see `hpo.gate.rules`."""

    min_gain: Number = Field(0.002, ge=0, lt=1)
    """Least gain over the champion: the lower end of the 95% interval of the gain in the objective
    on test users must lie above it; the default was chosen for recall_at_10."""
    max_loss: Number = Field(0.05, ge=0, lt=1)
    """hpo.retrain: highest loss as a share of the champion's objective; the lower end of the 95%
    interval must lie above minus this share."""
    must_beat: tuple[Literal["champion", "popularity", "itemknn", "rp3beta", "ease"], ...] = Field(
        ("champion", "itemknn"), min_length=1
    )
    """Models to beat; for baselines the lower end of the interval must lie above 0."""
    max_model_mb: Positive | None = None
    """Highest size of all files of the model, in millions of bytes; left out: no limit."""
    max_latency_ms: Positive | None = None
    """Highest median time of one answer, in milliseconds; left out: no limit."""
    teachers: Whole = Field(0, ge=0, le=MAX_TEACHERS)
    """Number of models trained before the refit, with other seeds, for it to learn from as well:
    often 1% more recall from a model of the same size, for teachers + 2 times the training."""
    model: Annotated[str, AfterValidator(checked_model_name)] = MODEL
    """Name of the registered model in MLflow. Each name has a champion of its own, so give the
    studies on other data another name."""


class MetricsConfig(_Section):
    """The metrics measured at each epoch beside recall and ndcg at 5, 10 and 20, mrr, and coverage,
    novelty and Gini index at 10.
    """

    cutoffs: tuple[Annotated[int, Field(ge=1, le=1000), IS_WHOLE], ...] = ()
    """Cut-offs K of further recall_at_K, ndcg_at_K, coverage_at_K, novelty_at_K and gini_at_K."""


class MetricLimit(_Section):
    """The least and the highest value of a metric at a trial's best epoch, one of them or both."""

    min: Annotated[float, Field(allow_inf_nan=False), IS_NUMBER] | None = None
    """Least value."""
    max: Annotated[float, Field(allow_inf_nan=False), IS_NUMBER] | None = None
    """Highest value."""

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        """Refuse a limit that says nothing, and one that no value meets.

        Raises:
            ValueError: both ends are missing, or the least value is above the highest.
        """
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both, for instance { min = 0.2 }")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


def _with_metrics(schema: dict[str, Any]) -> None:
    """Let the schema of the constraints take the names of metrics, and no others."""
    schema["patternProperties"] = {LIMIT_PATTERN: schema["additionalProperties"]}
    schema["additionalProperties"] = False


class ConstraintsConfig(_Section):
    """The limits on trials. One whose model is too large is PRUNED without training; one whose
    metrics break a limit counts, but it can neither win nor race. Further keys are metrics with
    their limits: recall_at_K, ndcg_at_K, coverage_at_K, novelty_at_K, gini_at_K and mrr.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra=_with_metrics)
    __pydantic_extra__: dict[str, MetricLimit]

    model_mb: Positive | None = None
    """Largest size of the model's tensors, in millions of bytes; see `recsys.models.size`."""

    @model_validator(mode="before")
    @classmethod
    def _names_metrics(cls, values: Any) -> Any:
        """Refuse keys that are no metrics.

        Raises:
            ValueError: there is no such metric; the message lists those that there are.
        """
        for name in values if isinstance(values, dict) else ():
            if name not in cls.model_fields:
                check_limited(name)
        return values

    @property
    def metrics(self) -> Mapping[str, MetricLimit]:
        """Return the limits of metrics by name."""
        return self.__pydantic_extra__


class RetriesConfig(_Section):
    """The number of retries of a config, by the cause that ended its training.

    Interruptions and a dead launcher are not the config's fault and do not count.
    """

    worker_died: Whole = Field(2, ge=0, le=100)
    """Retries after the worker died or hung; 2 retries are 3 tries in all."""
    out_of_memory: Whole = Field(1, ge=0, le=100)
    """Retries after the memory was full, perhaps only because other processes used memory too."""


class ResourcesConfig(_Section):
    """The resources of one worker on a Ray cluster; the other engines use this machine's."""

    cpus: Positive | None = None
    """CPUs of a worker; left out: its threads, else 1."""
    gpus: Annotated[float, Field(ge=0), IS_NUMBER] | None = None
    """GPUs of a worker, of several workers on one GPU a part (0.5); left out: 1 / device_slots if
    the cluster has GPUs and the device is not cpu."""
    memory_gb: Positive | None = None
    """Memory that Ray sets aside for a worker, in GB; left out: none."""
    place_seconds: Number = Field(60, gt=0)
    """Seconds without a place for any worker after which the study stops; raise it for a cluster
    that grows on demand."""


class StudyConfig(_Section):
    """The definition of a study, stored with it, so other commands need only the study's name."""

    name: str | None = Field(None, min_length=1, json_schema_extra={"maxLength": MAX_NAME})
    """Name of the study; left out: FILE-DATA."""
    data: DataConfig = DataConfig()
    split: SplitConfig = SplitConfig()
    trainable: str | None = Field(None, min_length=1)
    """A recommender of your own instead of the two-tower, as "package.module:Class"; [base] and
    [space] then hold its hyperparameters. See docs/own_model.md."""
    base: dict[str, Number] = {}
    """Default configuration, which is trial 0; missing hyperparameters have the model's default."""
    base_on_gpu: dict[str, Number] = {}
    """Values that replace those of [base] in a study made on a GPU; left out: a larger batch_size
    and lr if there are users enough and [base] and [space] have no batch_size."""
    space: dict[str, Parameter] = Field(min_length=1)
    """Searched hyperparameters: name = { low, high } or { choices }."""
    objective: MetricName = Field("recall_at_10", json_schema_extra={"pattern": METRIC_PATTERN})
    """Metric to maximize on validation: recall_at_K, ndcg_at_K, hit_rate_at_K, precision_at_K or
    map_at_K with K in 1..1000, or mrr; a trial's value is that of its best epoch. The gate compares
    models by the same metric."""
    metrics: MetricsConfig = MetricsConfig()
    n_trials: Whole = Field(50, ge=1, le=1_000_000)
    """Number of trials to finish (COMPLETE or PRUNED)."""
    seed: Whole = Field(0, ge=0, lt=2**31)
    """Seed of the study; every trial's seed derives from it."""
    workers: Annotated[int, Field(ge=1, le=1024), IS_WHOLE] | None = None
    """Number of processes that train; left out: one for each core, at most 8."""
    threads: Annotated[int, Field(ge=1, le=1024), IS_WHOLE] | None = None
    """torch threads of a worker; left out: chosen by the model's size, at most cores / workers."""
    device_slots: Annotated[int, Field(ge=1, le=MAX_DEVICE_SLOTS)] | Literal["auto"] = 1
    """Number of workers that share one GPU; "auto": by the memory of trainings, at most 4."""
    resources: ResourcesConfig = ResourcesConfig()
    timeout: Positive | None = None
    """Seconds after which no further trial starts."""
    trial_seconds: Positive | None = None
    """Seconds of training after which a trial ends as bad (PRUNED, time-limit)."""
    description: str = ""
    """Description of the study's run in MLflow."""
    tags: dict[str, str] = {}
    """Tags of the study's run in MLflow."""
    sampler: SamplerConfig = SamplerConfig()
    pruner: PrunerConfig = PrunerConfig()
    constraints: ConstraintsConfig = ConstraintsConfig()
    retries: RetriesConfig = RetriesConfig()
    warm_starts: tuple[dict[str, Number], ...] = ()
    """Configurations to try right after trial 0; missing hyperparameters come from [base]."""
    promotion: PromotionConfig = PromotionConfig()
    notify: NotifyConfig = NotifyConfig()

    @field_validator("data", mode="before", json_schema_input_type=str | DataConfig)
    @classmethod
    def _a_name_is_enough(cls, value: Any) -> Any:
        """Expand a name or path to the table that it stands for."""
        return {"source": value} if isinstance(value, str) else value

    @field_validator("device_slots", mode="before")
    @classmethod
    def _a_number_or_auto(cls, value: Any) -> Any:
        """Refuse other values in one sentence, since a union has an error for each of its types.

        Raises:
            ValueError: the value is neither a number of workers nor "auto".
        """
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value != "auto" and not (whole and 1 <= value <= MAX_DEVICE_SLOTS):
            raise ValueError(f'must be a whole number from 1 to {MAX_DEVICE_SLOTS}, or "auto"')
        return value

    @field_validator("objective")
    @classmethod
    def _is_measured(cls, objective: str) -> str:
        """Refuse unknown metrics.

        Raises:
            ValueError: there is no such metric.
        """
        return check_metric(objective)

    @field_validator("tags")
    @classmethod
    def _mlflow_takes_them(cls, tags: dict[str, str]) -> dict[str, str]:
        """Refuse bad tags, since MLflow would refuse the whole study at every sync.

        Raises:
            ValueError: MLflow does not take the key, or it has a prefix of hpo or MLflow.
        """
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
    def hyperparameters(self) -> type[Hyperparameters]:
        """Return the class of the model's hyperparameters.

        Raises:
            SettingsError: the model is the user's own, and cannot be imported.
        """
        return hyperparameters_of(self.trainable)

    @property
    def train_config(self) -> Hyperparameters:
        """Return the default configuration, which is also trial 0."""
        base = {name: self.typed(name, value) for name, value in self.base.items()}
        return self.hyperparameters.from_dict(base)

    @property
    def cutoffs(self) -> tuple[int, ...]:
        """Return the cut-offs of further rankings to measure, ascending."""
        limited = {family_and_cutoff(name)[1] for name in self.constraints.metrics if name != "mrr"}
        return tuple(sorted({*self.metrics.cutoffs, *limited}))

    def require_two_tower(self, what: str) -> None:
        """Refuse a study of another model.

        Args:
            what: subject and verb of the sentence, for instance "promotion registers".

        Raises:
            SettingsError: the study has a trainable.
        """
        if self.trainable is not None:
            raise SettingsError(
                f"study {self.name!r} tunes {self.trainable}, and {what} two-towers only; "
                "hpo.load_study(...).best_config has its best hyperparameters, to train it yourself"
            )

    def typed(self, name: str, value: float) -> float:
        """Return a value as an int if the hyperparameter is an integer and nothing is lost.

        TOML has both 64 and 64.0; either is accepted for an integer hyperparameter.

        Args:
            name: name of the hyperparameter.
            value: its value from a study file.
        """
        model = self.hyperparameters
        whole = name in model.names() and model.is_integer(name)
        return int(value) if whole and float(value).is_integer() else value

    @property
    def is_conditional(self) -> bool:
        """Return True if some parameter is searched in some trials only."""
        return any(parameter.when for parameter in self.space.values())

    def with_whole_base(self) -> Self:
        """Return the study with every hyperparameter in its base, safe from changed defaults."""
        base = self.train_config.as_dict()
        del base["seed"]  # every trial has its own
        return self.model_copy(update={"base": base})

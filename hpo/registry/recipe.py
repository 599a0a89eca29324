"""What a model is made by: enough to make one like it from newer data.

A promoted model carries its recipe in model_meta.json, so a retraining needs the registry alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from hpo.config import DataConfig, PromotionConfig, SplitConfig
from hpo.errors import PromotionError
from hpo.study import moved
from recsys.artifacts import Checkpoint
from recsys.config import TrainConfig
from recsys.evaluation import MetricName

if TYPE_CHECKING:
    from hpo.study import Candidate

KEY = "recipe"  # in model_meta.json


class Source(BaseModel):
    """The part of a recipe that the files of other models do not have."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    study_uid: str
    """Of the study that found the config."""
    study: str
    """Its name."""
    trial: int
    """Number of the trial with this config."""
    data_name: str
    """Of the data, for people."""
    data: DataConfig
    """Where it is, and how it is read."""
    objective: MetricName = "recall_at_10"
    """What the study maximized."""
    split: SplitConfig
    """The rule that holds rows out."""
    promotion: PromotionConfig
    """What the gate asks."""


@dataclass(frozen=True)
class Recipe:
    """A config, its epochs, and the data, split and gate that go with it.

    Attributes:
        source: whose config it is, where the data is, what the gate asks.
        config: all hyperparameters, the seed too.
        epochs: of the training on train + validation.
    """

    source: Source
    config: TrainConfig
    epochs: int

    @classmethod
    def of_candidate(cls, candidate: Candidate, data: str | None = None) -> Recipe:
        """The recipe of a trial.

        Args:
            candidate: a COMPLETE trial.
            data: name or path of the study's data, if it has moved.
        """
        record = candidate.record
        source = Source(
            study_uid=record.uid,
            study=candidate.study,
            trial=candidate.trial,
            data_name=record.data_name,
            data=moved(record.config.data, data),
            objective=record.config.objective,
            split=record.config.split,
            promotion=record.config.promotion,
        )
        return cls(source, candidate.config, candidate.refit_epochs)

    @classmethod
    def of_model(cls, stored: Checkpoint, which: str) -> Recipe:
        """The recipe that a promoted model carries.

        Args:
            stored: read from verified files.
            which: the version, for the message.

        Raises:
            PromotionError: it carries none, or one of another format.
        """
        try:
            source = Source.model_validate(stored.meta[KEY])
            epochs = int(stored.meta["epochs"])
        except (KeyError, ValidationError):
            raise PromotionError(
                f"{which} was registered by an older hpo.promote and does not say how it was "
                "made; delete that version in MLflow and run hpo.promote again, then retrain"
            ) from None
        return cls(source, stored.model.config, epochs)

    def version_tags(self, split_fingerprint: str) -> dict[str, str]:
        """What the version by this recipe on this data, split, is found by."""
        return {
            "hpo.study_uid": self.source.study_uid,
            "optuna.trial": str(self.source.trial),
            "hpo.split_fingerprint": split_fingerprint,
        }

    @property
    def rules(self) -> str:
        """What the gate asks, on one line without quotes: equal rules, equal text."""
        return ", ".join(
            f"{name} {' '.join(value) if isinstance(value, tuple) else value}"
            for name, value in self.source.promotion
        )

    @property
    def run_tag(self) -> str:
        """What the version's run is found by. The mirror owns every run with hpo.study_uid."""
        return f"{self.source.study_uid}/{self.source.trial}"

    def as_dict(self) -> dict[str, Any]:
        """What `of_model` reads from model_meta.json."""
        return {KEY: self.source.model_dump(mode="json"), "epochs": self.epochs}

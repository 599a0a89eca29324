"""Recipes: all that is needed to train a model like a registered one on newer data.

A promoted model carries its recipe in model_meta.json, so a retraining needs only the registry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from hpo.config import DataConfig, PromotionConfig, SplitConfig
from hpo.errors import PromotionError
from hpo.study import with_source
from recsys.artifacts import Checkpoint
from recsys.config import TrainConfig
from recsys.evaluation import MetricName
from recsys.messages import listed

if TYPE_CHECKING:
    from hpo.study import Candidate

KEY = "recipe"  # in model_meta.json


class Source(BaseModel):
    """The part of a recipe that only promoted models have in their files."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    study_uid: str
    """Unique id of the study that found the config."""
    study: str
    """Name of that study."""
    trial: int
    """Number of the trial with this config."""
    data_name: str
    """Name of the data, for people."""
    data: DataConfig
    """Location of the data, and the columns and options for reading it."""
    objective: MetricName = "recall_at_10"
    """Metric that the study maximized."""
    cutoffs: tuple[int, ...] = ()
    """Cut-offs of further rankings that the study measured."""
    split: SplitConfig
    """Rule that holds rows out."""
    promotion: PromotionConfig
    """Teachers of the refit, rules of the gate, and name of the registered model."""


@dataclass(frozen=True)
class Recipe:
    """A config, its number of epochs, and the data, split and gate that belong to it.

    Attributes:
        source: origin of the config, location of the data, rules of the gate.
        config: all hyperparameters, including the seed.
        epochs: epochs of the training on train + validation.
    """

    source: Source
    config: TrainConfig
    epochs: int

    @classmethod
    def of_candidate(
        cls, candidate: Candidate, data: str | None = None, teachers: int | None = None
    ) -> Recipe:
        """Return the recipe of a trial.

        Args:
            candidate: a COMPLETE trial.
            data: name or path of the study's data if it has moved; None: as the study says.
            teachers: models for the refit to learn from; None: as the study says.
        """
        record = candidate.record
        promotion = record.config.promotion
        if teachers is not None:
            promotion = promotion.model_copy(update={"teachers": teachers})
        source = Source(
            study_uid=record.uid,
            study=candidate.study,
            trial=candidate.trial,
            data_name=record.data_name,
            data=with_source(record.config.data, data),
            objective=record.config.objective,
            cutoffs=record.config.cutoffs,
            split=record.config.split,
            promotion=promotion,
        )
        return cls(source, TrainConfig.of(candidate.config), candidate.refit_epochs)

    @classmethod
    def of_model(cls, stored: Checkpoint, which: str) -> Recipe:
        """Return the recipe that a promoted model carries.

        Args:
            stored: a model read from verified files.
            which: name of the version in the error message.

        Raises:
            PromotionError: the model carries no recipe, or one of another format: of an older
                hpo, or of a newer one, which may know more keys.
        """
        try:
            source = Source.model_validate(stored.meta[KEY])
            epochs = int(stored.meta["epochs"])
        except (KeyError, ValidationError) as error:
            if unknown := _unknown_keys(error):
                raise PromotionError(
                    f"{which} was registered by a newer hpo, whose recipe has keys unknown here: "
                    f"{listed(unknown)}; update this hpo, then do the same again"
                ) from None
            raise PromotionError(
                f"{which} was registered by an older hpo.promote and does not say how it was "
                "made; delete that version in MLflow and run hpo.promote again, then retrain"
            ) from None
        return cls(source, stored.model.config, epochs)

    def version_tags(self, split_fingerprint: str) -> dict[str, str]:
        """Return the tags that identify the version of this recipe on the data and split given."""
        return {
            "hpo.study_uid": self.source.study_uid,
            "optuna.trial": str(self.source.trial),
            "hpo.split_fingerprint": split_fingerprint,
        }

    @property
    def rules(self) -> str:
        """Return the rules of the gate on one line without quotes; equal rules give equal text."""
        return ", ".join(
            f"{name} {' '.join(value) if isinstance(value, tuple) else value}"
            for name, value in self.source.promotion
            if name != "model"  # a place, not a rule
            and (name != "teachers" or value)  # the text of older versions must stay the same
        )

    @property
    def run_tag(self) -> str:
        """Return the value of the tag that identifies the run of the version.

        The run does not have the tag hpo.study_uid, since the mirror owns every run with that tag.
        """
        return f"{self.source.study_uid}/{self.source.trial}"

    def as_dict(self) -> dict[str, Any]:
        """Return the entries of model_meta.json that `of_model` reads."""
        return {KEY: self.source.model_dump(mode="json"), "epochs": self.epochs}


def _unknown_keys(error: KeyError | ValidationError) -> list[str]:
    """Return the keys of a recipe that this version does not know, as paths with dots."""
    if isinstance(error, KeyError):
        return []
    extra = [each for each in error.errors() if each["type"] == "extra_forbidden"]
    return [".".join(map(str, each["loc"])) for each in extra]

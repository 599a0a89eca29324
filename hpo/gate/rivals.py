"""Whom a new model has to stand beside: the champion, the default configuration, baselines."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hpo.config.study_config import PromotionConfig
from hpo.errors import SettingsError
from hpo.registry.model_store import ModelRefused, ModelStore, Reference
from recsys.artifacts.checkpoint import Checkpoint
from recsys.data.interactions import Interactions
from recsys.errors import CheckpointError, DataError
from recsys.models.baselines import BASELINES, MAX_ITEMS
from recsys.models.scorer import Scorer


@dataclass(frozen=True, eq=False)
class Champion:
    """The version that has the alias now.

    Attributes:
        version: its number.
        stored: its model, read from verified files; None if they cannot be read.
        problem: why not.
    """

    version: int
    stored: Checkpoint | None
    problem: str = ""


def check_baselines(rules: PromotionConfig, n_items: int) -> None:
    """Refuse a gate that asks for a baseline which the catalogue is too large for.

    Args:
        rules: of the study file.
        n_items: of the data.

    Raises:
        SettingsError: `must_beat` holds such a baseline.
    """
    if "ease" in rules.must_beat and n_items > MAX_ITEMS:
        raise SettingsError(
            f"promotion.must_beat: 'ease' cannot be asked of {n_items:,} items, only of "
            f"{MAX_ITEMS:,} at most; take it out of must_beat and run hpo.run again ('itemknn' "
            "takes any number of items)"
        )


def load_champion(tracking_uri: str, model: str, version: int) -> Champion:
    """A registered model as data: safetensors and JSON with the registered sha256, no pyfunc.

    A version whose files are missing, changed or of another format is no error here: it is a
    champion that nothing can be compared with.

    Raises:
        NoStoreError: the MLflow database is missing.
        TrackingError: MLflow does not answer.
    """
    store = ModelStore(tracking_uri)
    try:
        found = store.resolve(Reference(model, None, str(version)))
        return Champion(version, store.load(found))
    except (ModelRefused, CheckpointError) as error:
        return Champion(version, None, str(error))


def baselines(seen: Interactions, device: torch.device) -> tuple[dict[str, Scorer], dict[str, str]]:
    """All baselines that the catalogue allows, and why the others are missing, by name."""
    made, missing = {}, {}
    for name, make in BASELINES.items():
        try:
            made[name] = make(seen, device)
        except DataError as error:
            missing[name] = str(error)
    return made, missing

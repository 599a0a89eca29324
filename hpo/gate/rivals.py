"""Rivals of a new model that exist already: the champion and the baselines."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hpo.config import PromotionConfig
from hpo.errors import SettingsError
from hpo.registry import ModelRefused, ModelStore, Reference
from recsys.artifacts import Checkpoint
from recsys.data import Interactions
from recsys.errors import CheckpointError, DataError
from recsys.models import BASELINES, MAX_ITEMS, Scorer


@dataclass(frozen=True, eq=False)
class Champion:
    """The version that has the champion alias now.

    Attributes:
        version: version number.
        stored: the model, read from verified files; None if the files cannot be read.
        problem: the reason why the files cannot be read; empty if they can.
    """

    version: int
    stored: Checkpoint | None
    problem: str = ""


def check_baselines(rules: PromotionConfig, n_items: int) -> None:
    """Refuse a gate with a baseline that cannot be computed for so many items.

    Args:
        rules: the gate's section of the study file.
        n_items: number of items in the data.

    Raises:
        SettingsError: `must_beat` contains such a baseline.
    """
    if "ease" in rules.must_beat and n_items > MAX_ITEMS:
        raise SettingsError(
            f"promotion.must_beat: 'ease' cannot be asked of {n_items:,} items, only of "
            f"{MAX_ITEMS:,} at most; take it out of must_beat and run hpo.run again ('itemknn' "
            "and 'rp3beta' take any number of items)"
        )


def fetch_champion(tracking_uri: str, model: str, version: int) -> Champion:
    """Load a registered model from files that have the registered sha256.

    Only safetensors and JSON are read, and no pyfunc is run. A version whose files are changed or
    of another format raises no error: the result is a champion that nothing can be compared with.

    Args:
        tracking_uri: URI of MLflow.
        model: name of the registered model.
        version: version number.

    Raises:
        NoStoreError: the MLflow database is missing.
        TrackingError: MLflow does not answer, or the files cannot be had.
    """
    store = ModelStore(tracking_uri)
    try:
        found = store.resolve(Reference(model, None, str(version)))
        return Champion(version, store.load(found))
    except (ModelRefused, CheckpointError) as error:
        return Champion(version, None, str(error))


def baselines(seen: Interactions, device: torch.device) -> tuple[dict[str, Scorer], dict[str, str]]:
    """Make all baselines that the catalogue allows.

    Args:
        seen: the rows to learn from.
        device: device of the scores.

    Returns:
        The baselines by name, and for each missing one the reason by name.
    """
    made, missing = {}, {}
    for name, make in BASELINES.items():
        try:
            made[name] = make(seen, device)
        except DataError as error:
            missing[name] = str(error)
    return made, missing

"""Whom a new model has to stand beside: the champion, the default configuration, baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from hpo.serving.model_store import ModelRefused, ModelStore, Reference
from recsys.baselines import Popularity, ease, item_knn
from recsys.checkpoint import Checkpoint
from recsys.errors import CheckpointError, DataError
from recsys.evaluation import Scorer
from recsys.interactions import Interactions

BASELINES: Mapping[str, Callable[[Interactions, torch.device], Scorer]] = {
    "popularity": Popularity,
    "itemknn": item_knn,
    "ease": ease,
}


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


def load_champion(tracking_uri: str, model: str, version: int) -> Champion:
    """A registered model as data: safetensors and JSON with the registered sha256, no pyfunc.

    A version whose files are missing, changed or of another format is no error here: it is a
    champion that nothing can be compared with.

    Raises:
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

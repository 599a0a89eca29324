"""The registered champion as a recommender in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.config import MODEL, Locations

if TYPE_CHECKING:
    from recsys.retrieval import Recommender


def load_champion(model: str = MODEL, *, tracking: str | None = None) -> Recommender:
    """Return the recommender of the champion, whose files are verified as for `hpo.serve`.

    Args:
        model: name of the registered model; or models:/NAME@ALIAS or models:/NAME/VERSION for
            another version than its champion.
        tracking: URI of MLflow; None: $MLFLOW_TRACKING_URI, else sqlite:///studies/mlflow.db.

    Raises:
        SettingsError: `model` has none of these forms.
        NoStoreError: the MLflow database is missing.
        ModelRefused: there is no such model, or its files are not the registered ones.
        CheckpointError: the model's files cannot be read.
        TrackingError: MLflow does not answer.
    """
    from hpo.registry import ModelStore, Reference

    reference = Reference.parse(model)
    store = ModelStore(Locations.resolve(None, tracking).tracking_uri)
    return store.load(store.resolve(reference)).recommender()

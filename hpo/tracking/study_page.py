"""A study in MLflow, as it is found from outside the mirror: its run and its page."""

from __future__ import annotations

from hpo.config import Locations, has_store
from hpo.registry import versions as registry
from hpo.study import StudyRecord
from hpo.tracking.trial_projection import best_name
from hpo.tracking.urls import experiments_address, study_address
from recsys.artifacts import open_client, tracking_errors


def experiment_of(locations: Locations, uid: str) -> str | None:
    """Return the id of the experiment that holds the study's run; None: it has no run there.

    A missing database is not made.

    Raises:
        TrackingError: MLflow does not answer.
    """
    if not has_store(locations.tracking_uri):
        return None
    client = open_client(locations.tracking_uri)
    with tracking_errors(locations.tracking_uri):
        experiment = client.get_experiment_by_name(locations.experiment)
        if experiment is None or registry.study_run(client, experiment.experiment_id, uid) is None:
            return None
        return str(experiment.experiment_id)


def page_of_study(locations: Locations, record: StudyRecord, base: str) -> str:
    """Return the address of the study's trials in the MLflow UI, or of the experiments' list.

    Args:
        locations: where the study and its mirror live.
        record: of the study.
        base: of the MLflow UI.

    Raises:
        TrackingError: MLflow does not answer.
    """
    experiment = experiment_of(locations, record.uid)
    if experiment is None:
        return experiments_address(base)
    return study_address(base, experiment, record.uid, best_name(record.config.objective))

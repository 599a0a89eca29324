"""One sync right after a report was written, for a study that MLflow shows. Bounded in time."""

from __future__ import annotations

from hpo import registry
from hpo.kept import REPORT
from hpo.places import Places
from hpo.records import StudyRecord
from hpo.storage import existing_storage
from hpo.study import load_study
from hpo.tracking.thread import MirrorThread
from recsys.errors import TrackingError
from recsys.mlflow_client import open_client, sqlite_file, tracking_errors

PATIENCE_SECONDS = 60.0


def bring_into_mlflow(places: Places, study_name: str) -> str:
    """Sync a study that has a run in MLflow; a line on where its report is there, or why not.

    A study that was run without MLflow stays without. A sync that takes longer goes on beside what
    follows; wherever it ends, `hpo.sync` goes on from there.

    Raises:
        StudyError: there is no such study.
    """
    try:
        if not _has_run(places, study_name):
            return "not in MLflow: the study has no run there; make one with hpo.sync"
    except TrackingError as error:
        return f"not in MLflow: {error}"
    mirror = MirrorThread(places, study_name)
    mirror.start()
    result = mirror.stop(PATIENCE_SECONDS)
    if isinstance(result, TrackingError):
        return f"not in MLflow: {result}; bring it there with hpo.sync"
    if result.absent:
        return f"not in MLflow: {', '.join(result.absent)} vanished; python -m hpo.report helps"
    return f"in MLflow: folder {REPORT} of run {result.run_id}"


def _has_run(places: Places, study_name: str) -> bool:
    path = sqlite_file(places.tracking_uri)
    if path is not None and not path.exists():
        return False
    uid = StudyRecord.of(load_study(existing_storage(places.storage), study_name)).uid
    client = open_client(places.tracking_uri)
    with tracking_errors(places.tracking_uri):
        experiment = client.get_experiment_by_name(places.experiment)
        if experiment is None:
            return False
        return registry.study_run(client, experiment.experiment_id, uid) is not None

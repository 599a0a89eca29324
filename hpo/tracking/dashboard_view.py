"""optuna-dashboard with the long attributes of trials and studies folded to their beginning.

optuna-dashboard prints each attribute in one unbroken line, and ours are JSON of thousands of
characters, so that its pages scroll sideways.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from optuna.artifacts import FileSystemArtifactStore
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from hpo.dashboards import App
from hpo.errors import HpoError
from recsys.messages import count

OURS = "hpo:"  # how the names of the attributes in hpo.study.records begin
LONGEST = 80  # characters; a line of this and the name fits beside the list of trials
SHOWN = 60
CSV = "/csv/"

Attributed = TypeVar("Attributed", FrozenStudy, FrozenTrial)


def dashboard_app(
    storage: BaseStorage, artifacts: FileSystemArtifactStore, *, allow_writes: bool
) -> App:
    """Return optuna-dashboard as a WSGI application; whoever serves it puts a Guard before it.

    Args:
        allow_writes: keep attributes whole, since renaming a study copies what is shown.
    """
    import optuna_dashboard

    whole: App = optuna_dashboard.wsgi(storage, artifact_store=artifacts)
    if allow_writes:
        return whole
    folded: App = optuna_dashboard.wsgi(FoldedStorage(storage), artifact_store=artifacts)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        is_download = environ.get("PATH_INFO", "").startswith(CSV)  # nobody reads it as a page
        return (whole if is_download else folded)(environ, start_response)

    return app


def fold(value: Any) -> Any:
    """Return the beginning of a long value with its length; a short value as it is."""
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) <= LONGEST:
        return value
    return f"{text[:SHOWN]}… ({count(len(text), 'character')})"


def _refused(*_: object, **__: object) -> NoReturn:
    raise HpoError("this view of the storage is read-only")


_refuse: Any = _refused  # in place of methods with arguments that it ignores


class FoldedStorage(BaseStorage):
    """A read-only view of a storage in which the long attributes of hpo are folded.

    Notes and artifacts are system attributes, and stay as they are; so do other people's.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return all studies by id, since optuna-dashboard sorts those of an RDBStorage alone."""
        studies = sorted(self._storage.get_all_studies(), key=lambda study: study._study_id)
        return [_folded(study) for study in studies]

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        trials = self._storage.get_all_trials(study_id, deepcopy=deepcopy, states=states)
        return [_folded(trial) for trial in trials]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return _folded(self._storage.get_trial(trial_id))

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        return _folded(self._storage.get_best_trial(study_id))

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._storage.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._storage.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._storage.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return _short(self._storage.get_study_user_attrs(study_id))

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._storage.get_study_system_attrs(study_id)

    create_new_study = delete_study = set_study_user_attr = set_study_system_attr = _refuse
    create_new_trial = set_trial_param = set_trial_state_values = _refuse
    set_trial_intermediate_value = set_trial_user_attr = set_trial_system_attr = _refuse


def _folded(item: Attributed) -> Attributed:
    """Return a copy that shares all but its user attributes: the storage may keep the item."""
    shown = copy.copy(item)
    shown.user_attrs = _short(item.user_attrs)
    return shown


def _short(attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: fold(value) if key.startswith(OURS) else value for key, value in attrs.items()}

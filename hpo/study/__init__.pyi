from .adjusted_config import adjust_to_data as adjust_to_data
from .candidates import (
    Candidate as Candidate,
    default_candidate as default_candidate,
    top_candidates as top_candidates,
)
from .data import (
    as_stored as as_stored,
    load_data as load_data,
    load_split as load_split,
    with_source as with_source,
)
from .files.artifact_store import ArtifactStore as ArtifactStore
from .files.artifacts import (
    REPORT as REPORT,
    StoredArtifact as StoredArtifact,
    artifact_folder as artifact_folder,
    replace_artifacts as replace_artifacts,
    stored_artifacts as stored_artifacts,
)
from .files.contents import ArtifactContents as ArtifactContents, DashboardFiles as DashboardFiles
from .files.sending import (
    fetch_snapshots as fetch_snapshots,
    record_snapshots as record_snapshots,
    remove_sent as remove_sent,
    send_files as send_files,
)
from .files.trial_model import save_model as save_model
from .lifecycle import (
    hpo_studies as hpo_studies,
    load_named as load_named,
    load_newest as load_newest,
    open_study as open_study,
    store_infeasible as store_infeasible,
    stored_record as stored_record,
)
from .locks import (
    OUTAGE_SECONDS as OUTAGE_SECONDS,
    LockHeld as LockHeld,
    exclusive as exclusive,
    exclusive_registry as exclusive_registry,
    exclusive_within as exclusive_within,
    is_owned as is_owned,
    sqlite_path as sqlite_path,
)
from .machine import (
    environment_facts as environment_facts,
    resource_usage as resource_usage,
    system_metrics as system_metrics,
    training_metrics as training_metrics,
)
from .records import (
    ATTEMPT as ATTEMPT,
    COUNTED as COUNTED,
    EPOCHS as EPOCHS,
    MOVED as MOVED,
    OUTCOME as OUTCOME,
    PROMOTION_OF as PROMOTION_OF,
    STUDY as STUDY,
    Attempt as Attempt,
    Cause as Cause,
    Moved as Moved,
    Outcome as Outcome,
    StudyRecord as StudyRecord,
    best_complete as best_complete,
    best_metrics as best_metrics,
    comparable as comparable,
    end_ms as end_ms,
    epochs_of as epochs_of,
    epochs_to_columns as epochs_to_columns,
    first_start_ms as first_start_ms,
    new_uid as new_uid,
    start_moment as start_moment,
    system_attribute as system_attribute,
)
from .replayer import (
    metric_tolerance as metric_tolerance,
    replay as replay,
    trial_to_replay as trial_to_replay,
)
from .server_lock import StudyLock as StudyLock
from .storage import (
    existing_storage as existing_storage,
    folder_of_storage as folder_of_storage,
    is_lost as is_lost,
    open_storage as open_storage,
    parking_place as parking_place,
    snapshot_file as snapshot_file,
    storage_failure as storage_failure,
    storage_if_there as storage_if_there,
    translated_storage_errors as translated_storage_errors,
    working_folder as working_folder,
)
from .trial_rows import (
    TrialRow as TrialRow,
    best_so_far as best_so_far,
    complete_best_first as complete_best_first,
    default_trial as default_trial,
    read_trials as read_trials,
)
from .warm_starts import with_best_of as with_best_of

from . import checkpoint as checkpoint
from .checkpoint import (
    Checkpoint as Checkpoint,
    load as load,
    make_folder as make_folder,
    origin as origin,
    save as save,
    stored_files as stored_files,
)
from .checkpoint_files import META as META, sha256 as sha256
from .mlflow_client import (
    artifact_root as artifact_root,
    check_tracking_uri as check_tracking_uri,
    experiment_id as experiment_id,
    is_server as is_server,
    load_lines as load_lines,
    open_client as open_client,
    sqlite_file as sqlite_file,
    tracking_errors as tracking_errors,
)
from .mlflow_run import (
    Training as Training,
    log_checkpoint as log_checkpoint,
    log_metrics as log_metrics,
    log_model as log_model,
    log_pair_scorer as log_pair_scorer,
    log_params as log_params,
    log_training as log_training,
    open_run as open_run,
    pinned_requirements as pinned_requirements,
)
from .pair_scorer import PairScorer as PairScorer
from .sqlite import (
    read_only_sqlite_url as read_only_sqlite_url,
    sqlite_url as sqlite_url,
    why_unreadable as why_unreadable,
    without_three_slashes as without_three_slashes,
)

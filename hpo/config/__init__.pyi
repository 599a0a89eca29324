from .cross_checks import check_study as check_study, start_problems as start_problems
from .error_text import toml_text as toml_text
from .locations import (
    DASHBOARD_PORT as DASHBOARD_PORT,
    FOLDERS as FOLDERS,
    MLFLOW_PORT as MLFLOW_PORT,
    MODEL as MODEL,
    Locations as Locations,
    checked_model_name as checked_model_name,
    has_store as has_store,
    is_model_name as is_model_name,
    require_store as require_store,
)
from .next_commands import (
    PROMOTING as PROMOTING,
    command as command,
    hidden_hint as hidden_hint,
    next_lines as next_lines,
    powershell_quoted as powershell_quoted,
    shell_line as shell_line,
)
from .notify import Event as Event, NotifyConfig as NotifyConfig
from .override import Override as Override
from .parameter import Parameter as Parameter
from .search_space import (
    SearchSpace as SearchSpace,
    clamped_defaults as clamped_defaults,
    clamped_lines as clamped_lines,
    left_open as left_open,
    refusal as refusal,
    with_defaults as with_defaults,
)
from .shipped_studies import (
    SCHEMA_FILE as SCHEMA_FILE,
    shipped_folder as shipped_folder,
    shipped_names as shipped_names,
    study_path as study_path,
)
from .study_config import (
    MAX_NAME as MAX_NAME,
    MAX_TEACHERS as MAX_TEACHERS,
    OUR_TAGS as OUR_TAGS,
    DataConfig as DataConfig,
    PromotionConfig as PromotionConfig,
    SplitConfig as SplitConfig,
    StudyConfig as StudyConfig,
)
from .toml_file import (
    default_name as default_name,
    dump_study_config as dump_study_config,
    load_study_config as load_study_config,
)

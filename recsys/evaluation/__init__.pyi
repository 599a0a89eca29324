from .bootstrap import (
    RESAMPLES as RESAMPLES,
    Interval as Interval,
    mean_interval as mean_interval,
    mean_intervals as mean_intervals,
)
from .cold_start import cold_lines as cold_lines
from .evaluator import (
    GPU_BYTES as GPU_BYTES,
    MAX_CHUNK as MAX_CHUNK,
    Evaluator as Evaluator,
    ExcludingScorer as ExcludingScorer,
    Histories as Histories,
    TowerScorer as TowerScorer,
    chunk_bytes_on as chunk_bytes_on,
    encode_users as encode_users,
)
from .exposure import shown_cutoffs as shown_cutoffs
from .metric_names import (
    EXPOSURES as EXPOSURES,
    LIMIT_PATTERN as LIMIT_PATTERN,
    METRIC_PATTERN as METRIC_PATTERN,
    MetricName as MetricName,
    check_limited as check_limited,
    check_metric as check_metric,
    family_and_cutoff as family_and_cutoff,
    measured_names as measured_names,
)
from .metrics import (
    Floats as Floats,
    Metrics as Metrics,
    UserMetrics as UserMetrics,
    half_width as half_width,
)
from .ranking import top_items as top_items
from .segments import (
    ItemGroup as ItemGroup,
    UserGroup as UserGroup,
    activity_groups as activity_groups,
    popularity_groups as popularity_groups,
)

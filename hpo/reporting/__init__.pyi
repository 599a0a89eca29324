from .delivery import (
    is_reported as is_reported,
    report_at_end as report_at_end,
    run_report as run_report,
)
from .export import (
    STDOUT as STDOUT,
    check_files as check_files,
    trial_frame as trial_frame,
    write_frame as write_frame,
)
from .folders import report_folder as report_folder
from .insights import Hint as Hint, edge_hints as edge_hints
from .report import write_report as write_report
from .study_comparison import (
    comparison_tables as comparison_tables,
    read_compared_study as read_compared_study,
    warnings as warnings,
)

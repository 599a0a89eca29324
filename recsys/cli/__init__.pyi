from .arguments import (
    DATA_SETTINGS as DATA_SETTINGS,
    add_data_arguments as add_data_arguments,
    add_split_arguments as add_split_arguments,
    dataset_from as dataset_from,
)
from .entry import INTERRUPTED as INTERRUPTED, run_command as run_command
from .formatting import (
    DEFAULT_TRACKING_URI as DEFAULT_TRACKING_URI,
    add_device_argument as add_device_argument,
    command_parser as command_parser,
    counts_line as counts_line,
    data_flags as data_flags,
    default_device as default_device,
    device_from as device_from,
    feature_lines as feature_lines,
    metrics_line as metrics_line,
    sample_line as sample_line,
    usable_device as usable_device,
)
from .output_file import (
    check_suffix as check_suffix,
    draft_of as draft_of,
    is_special as is_special,
)
from .program import Subcommand as Subcommand, run_program as run_program
from .spreadsheet import without_formulas as without_formulas

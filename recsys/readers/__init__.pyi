from .columns import (
    AUTO as AUTO,
    EVENT_WEIGHTS as EVENT_WEIGHTS,
    Columns as Columns,
    matching_columns as matching_columns,
)
from .ids import NO_ID as NO_ID, whole_number as whole_number
from .movielens import first_line as first_line, item_table as item_table, user_table as user_table
from .paths import (
    is_remote as is_remote,
    matching_files as matching_files,
    short_name as short_name,
)
from .reader import read_dataset as read_dataset, read_frame as read_frame
from .side_tables import Side as Side
from .tables.opening import SEPARATOR_OF as SEPARATOR_OF
from .tables.separators import LOOKED_AT as LOOKED_AT, separator_of as separator_of

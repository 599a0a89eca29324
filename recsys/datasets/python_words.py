"""Notes on errors for callers from Python: the arguments that play the parts of the options named.

Messages name the options of the commands, such as --user-col. A note (PEP 678) is shown below the
error in a traceback or a notebook, and by no command.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from recsys.errors import DataError

_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)")
_FIELDS = {
    "user-col": "user='...'",
    "item-col": "item='...'",
    "time-col": "time='...'",
    "event-col": "event='...'",
    "rating-col": "rating='...'",
    "no-header": "header=False",
    "time-format": "time_format='...'",
    "event-weights": "event_weights=(('word', 1.0),)",
}
_FILTERS = {
    "min-rating": "min_rating=...",
    "min-user-rows": "min_user_rows=...",
    "min-item-rows": "min_item_rows=...",
}


@contextmanager
def noting_arguments(describe: Callable[[list[str]], str]) -> Iterator[None]:
    """Add a note to a DataError of the block that names options, in the place of earlier notes.

    Args:
        describe: returns the note for the names of options, without dashes, in the order of the
            message; "" for no note.

    Raises:
        DataError: the error of the block.
    """
    try:
        yield
    except DataError as error:
        note = describe(list(dict.fromkeys(_OPTION.findall(str(error)))))
        if note:
            error.__notes__ = [note]
        raise


def load_dataset_arguments(options: list[str]) -> str:
    """Return the note with the arguments of `recsys.load_dataset`; "" without any.

    Args:
        options: names of options, without dashes.
    """
    fields = ", ".join(_FIELDS[name] for name in options if name in _FIELDS)
    filters = ", ".join(_FILTERS[name] for name in options if name in _FILTERS)
    parts = [f"columns=recsys.Columns({fields})"] if fields else []
    parts += [f"filters=recsys.Filters({filters})"] if filters else []
    parts += ["repeats='keep'"] if "repeats" in options else []
    return f"in recsys.load_dataset: {', '.join(parts)}" if parts else ""

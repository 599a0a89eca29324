"""Notes on errors for callers from Python: the arguments that play the parts of the options named.

Messages name the options of the commands, such as --user-col. A note (PEP 678) is shown below the
error in a traceback or a notebook, and by no command.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from recsys.errors import Problems

_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)")
_EXAMPLE = re.compile(r"for instance --([a-z]+(?:-[a-z]+)*) ('[^']*'|[^\s,;)]+)")
_FIELDS = {
    "user-col": "user",
    "item-col": "item",
    "time-col": "time",
    "event-col": "event",
    "rating-col": "rating",
    "time-format": "time_format",
    "event-weights": "event_weights",
}
_FILTERS = ("min-rating", "min-user-rows", "min-item-rows")

Named = Mapping[str, str]
"""The options that a message names, without dashes, each with a value in Python or "..."."""


@contextmanager
def noting_arguments(describe: Callable[[Named], str]) -> Iterator[None]:
    """Add a note to an error of the block that names options, in the place of earlier notes.

    Args:
        describe: returns the note for the options that the message names; "" for no note.

    Raises:
        Problems: the error of the block.
    """
    try:
        yield
    except Problems as error:
        named = dict.fromkeys(_OPTION.findall(str(error)), "...")
        for name, value in _EXAMPLE.findall(str(error)):
            bare = value.strip("'")
            named[name] = bare if bare.replace(".", "").isdigit() else repr(bare)
        if note := describe(named):
            error.__notes__ = [note]
        raise


def load_dataset_arguments(named: Named) -> str:
    """Return the note with the arguments of `recsys.load_dataset`; "" without any.

    Args:
        named: the options that the message names.
    """
    fields = [f"{_FIELDS[name]}={value}" for name, value in named.items() if name in _FIELDS]
    fields += ["header=False"] if "no-header" in named else []
    filters = [f"{name.replace('-', '_')}={named[name]}" for name in _FILTERS if name in named]
    parts = [f"columns=recsys.Columns({', '.join(fields)})"] if fields else []
    parts += [f"filters=recsys.Filters({', '.join(filters)})"] if filters else []
    parts += ["repeats='keep'"] if "repeats" in named else []
    return f"in recsys.load_dataset: {', '.join(parts)}" if parts else ""

"""What reading did to somebody's rows, in a line or two: nothing is left out in silence.

Of columns only names are told, and never those of the users' table.
"""

from __future__ import annotations

from collections.abc import Collection

from recsys.columns import listed
from recsys.console import count
from recsys.events import Events, ReadyMade
from recsys.interactions import Interactions


def notes(
    files: Collection[Events], kept: Interactions, ready_made: ReadyMade | None
) -> tuple[str, ...]:
    """Rows read, repeats and returns left out, columns not used; and that there are no times.

    Nothing at all where everything was used: then the counts of the split tell it.

    Args:
        files: what was read, returns aside.
        kept: what was made of it.
        ready_made: it counts on its own the pairs that an earlier part has.
    """
    n_returns = sum(file.n_returns for file in files)
    n_rows = sum(len(file.users) for file in files)
    n_repeats = n_rows - len(kept) - (ready_made.n_dropped if ready_made else 0)
    told = [count(n_rows + n_returns, "row")]
    if n_returns:
        told.append(f"{count(n_returns, 'return')} left out")
    if n_repeats:
        some = count(n_repeats, "repeat")
        told.append(f"{some} of a user and item dropped (--repeats keep keeps them)")
    unused = list(dict.fromkeys(name for file in files for name in file.unused))
    if unused:
        told.append(f"columns not used: {listed(unused)}")
    lines = [f"read: {'; '.join(told)}"] if len(told) > 1 or kept.times is None else []
    floats = list(dict.fromkeys(name for file in files for name in file.from_floats))
    if floats:
        lines.append(f"ids: {listed(floats)}: whole numbers written as floats, read as integers")
    if kept.times is None:
        cure = "; if one of these columns holds them, name it with --time-col" if unused else ""
        order = "" if ready_made else ", so what is held out is drawn at random"
        lines.append(f"no times: no column is recognised as a time{order}{cure}")
    return tuple(lines)

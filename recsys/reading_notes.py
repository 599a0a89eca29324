"""What reading did to somebody's rows, in a line or two: nothing is left out in silence.

Of columns only names are told, and never those of the users' table.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from recsys.columns import listed
from recsys.console import count
from recsys.events import Events, ReadyMade
from recsys.interactions import Interactions

_MANY_USERS = 0.05  # share of users; a few sessions logged in one second are no news


def notes(
    files: Collection[Events], kept: Interactions, ready_made: ReadyMade | None
) -> tuple[str, ...]:
    """Rows read, repeats and returns left out, columns not used; and that there are no times.

    Nothing at all where everything was used: then the counts of the split tell it.

    Args:
        files: what was read, returns aside; with the times that all rows share.
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
    lines += dict.fromkeys(text for file in files for text in file.ratings)
    floats = list(dict.fromkeys(name for file in files for name in file.from_floats))
    if floats:
        lines.append(f"ids: {listed(floats)}: whole numbers written as floats, read as integers")
    order = "" if ready_made else ", so what is held out is drawn at random"
    if kept.times is None and any(file.times is not None for file in files):
        lines.append(f"no times: all rows have one and the same time{order}")
    elif kept.times is None:
        cure = "; if one of these columns holds them, name it with --time-col" if unused else ""
        lines.append(f"no times: no column is recognised as a time{order}{cure}")
    lines += _users_of_one_time(kept)
    return tuple(lines)


def _users_of_one_time(kept: Interactions) -> list[str]:
    """Return a line if many users with two rows or more have one time in all of them."""
    if kept.times is None:
        return []
    starts, ends = kept.offsets[:-1], kept.offsets[1:]
    users = np.flatnonzero(ends - starts >= 2)
    # A user's rows are in order of time: the first and the last tell.
    n_equal = int((kept.times[starts[users]] == kept.times[ends[users] - 1]).sum())
    if not n_equal or n_equal < _MANY_USERS * len(users):
        return []
    some = f"{n_equal:,} of {count(len(users), 'user')} with two rows or more"
    return [f"times: {some} have one time in all of them; the file's order settles their newest"]

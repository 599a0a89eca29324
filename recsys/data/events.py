"""Events: the rows of one file of interactions, and the union of several files.

The files of a ready-made split have a vocabulary each. `join` builds one vocabulary from them, and
every row keeps the part of its file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from recsys.data.dataset import ReadyMade
from recsys.data.features import Ints32, Ints64
from recsys.data.interactions import Bools, Floats32, Interactions, Repeats, row_order, sorted_ids
from recsys.data.splitting import Parts


@dataclass(frozen=True, eq=False)
class Events:
    """Rows of one file in file order, with positions in the file's own vocabularies.

    Attributes:
        users, items: (n,) int32, positions in `user_ids` and `item_ids`.
        times: (n,) int64 microseconds since 1970, or None.
        weights: (n,) float32 > 0, or None.
        user_ids, item_ids: ids in vocabulary order, each used at least once.
        n_returns: further rows of the file, left out because they speak against interest.
        unused: columns of the file that were not used.
        from_floats: id columns with whole numbers written as floats.
        remarks: phrases for people on the columns, such as low ratings that are not used.
        n_low: further rows left out because of a low or missing rating.
        used: (role, column) of the columns that were used.
    """

    users: Ints32
    items: Ints32
    times: Ints64 | None
    weights: Floats32 | None
    user_ids: list[str]
    item_ids: list[str]
    n_returns: int = 0
    unused: tuple[str, ...] = ()
    from_floats: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    n_low: int = 0
    used: tuple[tuple[str, str], ...] = ()

    def interactions(self, repeats: Repeats) -> Interactions:
        """Return these rows alone as Interactions.

        Args:
            repeats: "drop" keeps the earliest row of each (user, item), "keep" keeps all.
        """
        return Interactions.from_codes(
            *(self.users, self.items, self.times, self.weights),
            *(self.user_ids, self.item_ids),
            repeats=repeats,
        )


def without_equal_times(files: Mapping[int, Events]) -> dict[int, Events]:
    """Return the files without times if all rows of all files have one and the same time."""
    times = [file.times for file in files.values() if file.times is not None]
    if not times or len({int(end) for each in times for end in (each.min(), each.max())}) > 1:
        return dict(files)
    return {part: replace(file, times=None) for part, file in files.items()}


def join(files: Mapping[int, Events], repeats: Repeats) -> tuple[Interactions, ReadyMade]:
    """Join the files of a ready-made split into one data set.

    With `repeats="drop"`, a (user, item) found in several parts stays in the first of them only,
    so that no part asks for an item that an earlier part has shown.

    Args:
        files: part -> rows of its file, train first; either all files have times or none has.
        repeats: "drop" keeps the earliest row of each (user, item), "keep" keeps all.

    Returns:
        The rows of all parts over one vocabulary, and the part of each row.
    """
    user_ids, users = _one_vocabulary([(file.user_ids, file.users) for file in files.values()])
    item_ids, items = _one_vocabulary([(file.item_ids, file.items) for file in files.values()])
    sizes = [len(file.users) for file in files.values()]
    parts = np.repeat(np.array(list(files), np.int8), sizes)
    times = _columns([file.times for file in files.values()])
    weights = _all_weights(list(files.values()))
    keep = np.ones(len(parts), np.bool_)
    if repeats == "drop":
        keep = _first_part_only(users.astype(np.int64) * len(item_ids) + items, parts)
    rows = np.flatnonzero(keep)
    order = rows[
        row_order(users[rows], items[rows], None if times is None else times[rows], repeats)
    ]
    data = Interactions.from_codes(
        users[order],
        items[order],
        None if times is None else times[order],
        None if weights is None else weights[order],
        user_ids,
        item_ids,
        repeats=repeats,
    )
    return data, ReadyMade(parts[order], len(parts) - len(rows))


def _one_vocabulary(files: list[tuple[list[str], Ints32]]) -> tuple[list[str], Ints32]:
    """Return the union of the vocabularies, and all codes end to end in that union."""
    ids = sorted_ids(list(set().union(*(own for own, _ in files))))
    position = {text: number for number, text in enumerate(ids)}
    codes = [np.array([position[text] for text in own], np.int32)[codes] for own, codes in files]
    return ids, np.concatenate(codes)


def _columns(files: list[Ints64 | None]) -> Ints64 | None:
    there = [times for times in files if times is not None]
    return np.concatenate(there) if there else None


def _all_weights(files: list[Events]) -> Floats32 | None:
    """Return all weights end to end, 1 for rows of files without them; None if no file has any."""
    if all(file.weights is None for file in files):
        return None
    return np.concatenate(
        [
            np.ones(len(file.users), np.float32) if file.weights is None else file.weights
            for file in files
        ]
    )


def _first_part_only(pairs: Ints64, parts: Parts) -> Bools:
    """Return an (n,) mask that is False for rows whose pair occurs in an earlier part."""
    keep = np.ones(len(pairs), np.bool_)
    for part in np.unique(parts)[1:]:
        mine = np.flatnonzero(parts == part)
        keep[mine] = ~np.isin(pairs[mine], pairs[parts < part])
    return keep

"""What a run in MLflow must hold, as plain values."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from hpo.study import KeptFile


class Row(NamedTuple):
    """Values of some metrics at one step and time. Rows, since a study has 100,000s of values."""

    step: int
    time_ms: int
    names: tuple[str, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, step: int, time_ms: int, **values: float) -> Row:
        return cls(step, time_ms, tuple(values), tuple(values.values()))


class DataInput(NamedTuple):
    """The data of a study as MLflow lists it. `profile`: JSON."""

    name: str
    digest: str
    source_type: str
    source: str
    profile: str


@dataclass(frozen=True)
class Content:
    """What one run must hold.

    Attributes:
        trial: its number; None for the run of the study itself.
        params: never change once given; {} while they are not all known.
        rows: of metrics; only ever grow at the end while a study goes on.
        tags: may change.
        description: given when the run is made, and left to its readers from then on.
        data: what it was trained on; only the run of the study says it.
        files: its artifacts, whose names are all different. MLflow cannot take files back
            everywhere, so a run may have others from before: an earlier report's pictures, or the
            model of a trial that was the best once, which is still that trial's own.
        former: the rows as versions before 2026-12 wrote them, if that was otherwise.
    """

    trial: int | None
    name: str
    start_ms: int
    status: str
    end_ms: int | None
    params: Mapping[str, str]
    rows: Sequence[Row]
    tags: Mapping[str, str]
    description: str
    data: DataInput | None = None
    files: Sequence[KeptFile] = ()
    former: Sequence[Row] = ()

    def as_before(self) -> Content:
        """Return this content with the rows of older versions."""
        return replace(self, rows=self.former, former=())

    def digest(self, n_rows: int, *, params: bool) -> str:
        """Of what cannot be taken back: the first n rows, and the params if asked for."""
        state = hashlib.sha256(repr(sorted(self.params.items()) if params else []).encode())
        names: tuple[str, ...] = ()
        for step, time_ms, row_names, values in self.rows[:n_rows]:
            if row_names != names:
                state.update(repr(names := row_names).encode())
            state.update(array("d", (step, time_ms, *values)).tobytes())
        return state.hexdigest()[:16]

    def tags_digest(self) -> str:
        return hashlib.sha256(repr(sorted(self.tags.items())).encode()).hexdigest()[:16]

    def files_digest(self) -> str | None:
        """Of names and contents; None if there are none."""
        if not self.files:
            return None
        entries = sorted((file.path, file.sha256) for file in self.files)
        return hashlib.sha256(repr(entries).encode()).hexdigest()[:16]

"""Contents of runs in MLflow, as plain values."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from hpo.study import StoredArtifact


class Row(NamedTuple):
    """Values of some metrics at one step and time.

    Metrics are grouped in rows because a study has 100,000s of values.

    Attributes:
        step: step in MLflow.
        time_ms: time in milliseconds since 1970.
        names: names of the metrics.
        values: value of each metric.
    """

    step: int
    time_ms: int
    names: tuple[str, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, step: int, time_ms: int, **values: float) -> Row:
        """Return a row of metrics given by keyword.

        Args:
            step: step in MLflow.
            time_ms: time in milliseconds since 1970.
            **values: value by name of metric.
        """
        return cls(step, time_ms, tuple(values), tuple(values.values()))


class DataInput(NamedTuple):
    """The data of a study as MLflow lists it.

    Attributes:
        name: name of the data.
        digest: digest of data and split together.
        source_type: "local" for a path, "code" for a data set by name.
        source: JSON with the location.
        profile: JSON with the numbers of users, items and rows.
    """

    name: str
    digest: str
    source_type: str
    source: str
    profile: str


@dataclass(frozen=True)
class Content:
    """The content that one run must hold.

    Attributes:
        trial: trial number; None for the run of the study itself.
        name: name of the run.
        start_ms: start in milliseconds since 1970.
        status: status of the run in MLflow.
        end_ms: end in milliseconds since 1970; None while there is none.
        params: value by name; never changed once given, and {} while not all are known.
        rows: rows of metrics; while a study goes on, rows are only added at the end.
        tags: value by name; may change.
        description: note of the run, written when the run is created and left to users from then
            on.
        data: data that the models were trained on; only for the run of the study.
        files: artifacts of the run, whose names are all different. MLflow cannot delete files
            everywhere, so a run may have others from before: pictures of an earlier report, or the
            model of a trial that was once the best, which still belongs to that trial.
        former: rows as versions before 2026-12 wrote them; empty if those versions wrote the same
            rows.
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
    files: Sequence[StoredArtifact] = ()
    former: Sequence[Row] = ()

    def as_before(self) -> Content:
        """Return this content with the rows of older versions."""
        return replace(self, rows=self.former, former=())

    def digest(self, n_rows: int, *, params: bool) -> str:
        """Return a digest of everything that MLflow cannot take back.

        Args:
            n_rows: number of rows to include, from the first.
            params: True: include the params.
        """
        state = hashlib.sha256(repr(sorted(self.params.items()) if params else []).encode())
        names: tuple[str, ...] = ()
        for step, time_ms, row_names, values in self.rows[:n_rows]:
            if row_names != names:
                state.update(repr(names := row_names).encode())
            state.update(array("d", (step, time_ms, *values)).tobytes())
        return state.hexdigest()[:16]

    def tags_digest(self) -> str:
        """Return a digest of the tags."""
        return hashlib.sha256(repr(sorted(self.tags.items())).encode()).hexdigest()[:16]

    def files_digest(self) -> str | None:
        """Return a digest of the names and contents of the files; None if there are no files."""
        if not self.files:
            return None
        entries = sorted((file.path, file.sha256) for file in self.files)
        return hashlib.sha256(repr(entries).encode()).hexdigest()[:16]

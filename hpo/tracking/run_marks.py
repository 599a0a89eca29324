"""Marks in the tags of a run in MLflow, by which a sync knows how much of its content is there."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hpo.tracking.run_content import Content, DataInput

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Run

OURS = "hpo."  # only we write tags with such names, see `OUR_TAGS`
MARK = "hpo.synced"
KIND, TRIAL = "hpo.kind", "optuna.trial"
NUMBER = re.compile("[0-9]{1,9}")
SIGNS = (  # of a trial's number in other tags, should somebody have changed the tag of the number
    ("hpo.dashboard", re.compile(r".*[?&]numbers=([0-9]{1,9})")),
    ("mlflow.runName", re.compile("trial-([0-9]{1,9})")),
)
FILES = "hpo.files"  # digest of a run's artifacts; a tag of its own, since they come last


class Mark(NamedTuple):
    """The part of a content that a run holds, as recorded in one of its tags.

    Attributes:
        rows: number of rows, from the first.
        params: True if the run holds the params.
        digest: digest of these rows and params, see `Content.digest`.
        tags: digest of the tags.
    """

    rows: int
    params: bool
    digest: str
    tags: str

    def __str__(self) -> str:
        return f"{self.rows}:{int(self.params)}:{self.digest}:{self.tags}"

    @classmethod
    def of(cls, content: Content) -> Mark:
        """Return the mark of a run that holds all of a content."""
        n, params = len(content.rows), bool(content.params)
        return cls(n, params, content.digest(n, params=params), content.tags_digest())

    @classmethod
    def parse(cls, text: str | None) -> Mark | None:
        """Parse the tag of a run; None if the tag is missing or has another form."""
        parts = (text or "").split(":")
        if len(parts) != len(cls._fields) or not parts[0].isdecimal():
            return None
        return cls(int(parts[0]), parts[1] == "1", parts[2], parts[3])

    def is_part_of(self, content: Content) -> bool:
        """Return True if the run can still grow into the content; MLflow takes nothing back."""
        if self.rows > len(content.rows) or (self.params and not content.params):
            return False
        return self.digest == content.digest(self.rows, params=self.params)


def obsolete_tags(tags: Mapping[str, str], content: Content) -> list[str]:
    """Return the names of our tags of a run that its content has no more, in order.

    Args:
        tags: all tags of the run.
        content: content that the run is to hold.
    """
    ours = {name for name in tags if name.startswith(OURS)} - {MARK, FILES}
    return sorted(ours - content.tags.keys())


def is_former(mark: Mark | None, content: Content) -> bool:
    """Return True if a run holds the content as older versions wrote it.

    MLflow cannot move a point, and a run created anew would lack the files and metrics that users
    have added. So such a run is left as it is, and a check reports it.

    Args:
        mark: mark of the run.
        content: content that the run would hold today.
    """
    if mark is None or not content.former or mark.is_part_of(content):
        return False
    return mark.is_part_of(content.as_before())


def can_become(mark: Mark, content: Content) -> bool:
    """Return True if a run with this mark can hold the content, as today or as before."""
    return mark.is_part_of(content) or is_former(mark, content)


@dataclass
class RunState:
    """A run as MLflow holds it.

    Attributes:
        run_id: id of the run.
        status: status in MLflow.
        end_ms: end in milliseconds since 1970; None while there is none.
        mark: mark of the run; None without a valid one.
        data: digest of the run's dataset; None without one.
        files: digest of the run's artifacts; None without any.
        tags: tags as read from MLflow; None once they have been compared with the content.
        is_new: True from the creation of the run until its content is written.
    """

    run_id: str
    status: str
    end_ms: int | None
    mark: Mark | None
    data: str | None = None
    files: str | None = None
    tags: Mapping[str, str] | None = None
    is_new: bool = False

    def has_status(self, content: Content) -> bool:
        """Return True if status and end are those of the content."""
        return self.status == content.status and content.end_ms in (None, self.end_ms)

    @classmethod
    def of(cls, run: Run) -> RunState:
        """Return the state of a run that was read from MLflow."""
        info, tags = run.info, run.data.tags
        mark, files = Mark.parse(tags.get(MARK)), tags.get(FILES)
        return cls(info.run_id, info.status, info.end_time, mark, data_of(run), files, tags)

    def worth(self, content: Content | None = None) -> tuple[int, int]:
        """Return how much a run is worth keeping among several of the same trial.

        A run that can become the content comes first, then one without a mark, which may just
        have been made to replace one that cannot; of those, the one with the most rows.

        Args:
            content: content that the run is to hold; None: unknown.
        """
        if self.mark is None:
            return (1 if content else 0), 0
        return (2 if content is None or can_become(self.mark, content) else 0), self.mark.rows


def by_trial(runs: Iterable[Run]) -> tuple[dict[int | None, list[Run]], list[Run]]:
    """Return the runs of each trial (None: the study itself), and those of no trial.

    The runs of a trial are in the order of their start and id, so that every sync decides alike.
    """
    found: dict[int | None, list[Run]] = defaultdict(list)
    strays = []
    for run in sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id)):
        tags = run.data.tags
        number = _number(tags)
        kind = tags.get(KIND)
        if number is None and (kind == "trial" or (kind != "study" and TRIAL in tags)):
            strays.append(run)
        else:
            found[number].append(run)
    return found, strays


def _number(tags: Mapping[str, str]) -> int | None:
    """Return the number of a run's trial, also if people changed its tag; None if none is told."""
    if NUMBER.fullmatch(tags.get(TRIAL, "")):
        return int(tags[TRIAL])
    if tags.get(KIND) != "study":
        for name, sign in SIGNS:
            if match := sign.fullmatch(tags.get(name, "")):
                return int(match[1])
    return None


def data_of(run: Run) -> str | None:
    """Return the digest of a run's dataset; of several, the first in MLflow's order."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return inputs[0].dataset.digest if inputs else None


def dataset_input(data: DataInput) -> DatasetInput:
    """Return the data in the form that MLflow takes."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(data.name, data.digest, data.source_type, data.source, None, data.profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "tuning")])

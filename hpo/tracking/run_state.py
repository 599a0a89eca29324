"""What a run in MLflow holds of the content that it should hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hpo.tracking.run_content import Content, DataInput

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Run

MARK = "hpo.synced"
FILES = "hpo.files"  # which artifacts a run holds; a tag of its own, since they come last


class Mark(NamedTuple):
    """How much of a Content a run holds: n rows, whether the params, which tags."""

    rows: int
    params: bool
    digest: str
    tags: str

    def __str__(self) -> str:
        return f"{self.rows}:{int(self.params)}:{self.digest}:{self.tags}"

    @classmethod
    def of(cls, content: Content) -> Mark:
        """Of a run that holds all of it."""
        n, params = len(content.rows), bool(content.params)
        return cls(n, params, content.digest(n, params=params), content.tags_digest())

    @classmethod
    def parse(cls, text: str | None) -> Mark | None:
        """None if there is no mark, or not one of ours."""
        parts = (text or "").split(":")
        if len(parts) != len(cls._fields) or not parts[0].isdecimal():
            return None
        return cls(int(parts[0]), parts[1] == "1", parts[2], parts[3])

    def is_part_of(self, content: Content) -> bool:
        """Whether the run can still grow into the content: nothing in MLflow can be taken back."""
        if self.rows > len(content.rows) or (self.params and not content.params):
            return False
        return self.digest == content.digest(self.rows, params=self.params)


def is_former(mark: Mark | None, content: Content) -> bool:
    """Return True if a run holds the content as older versions wrote it.

    MLflow cannot move a point, and a run made anew would lack the files and metrics that people
    have added, so such a run is left as it is, and a check says so.

    Args:
        mark: of the run.
        content: what the run would hold today.
    """
    if mark is None or not content.former or mark.is_part_of(content):
        return False
    return mark.is_part_of(content.as_before())


@dataclass
class Held:
    """A run as MLflow has it. `data`: digest of its dataset; `files`: of its artifacts.

    `tags`: as they were read, until they are found right or put right.
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
        return self.status == content.status and content.end_ms in (None, self.end_ms)


def data_of(run: Run) -> str | None:
    """The digest of a run's dataset; of several, MLflow's order decides."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return inputs[0].dataset.digest if inputs else None


def dataset_input(data: DataInput) -> DatasetInput:
    """The data as MLflow wants it."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(data.name, data.digest, data.source_type, data.source, None, data.profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "tuning")])

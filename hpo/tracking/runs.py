"""Runs of one study in MLflow: their state, and writes of all that they lack.

A tag of each run says how much of its content the run holds. The tag is written last, so an
interrupted write is repeated, and MLflow drops the values that it has already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hpo.config import OUR_TAGS
from hpo.study import PROMOTION_OF
from hpo.tracking.run_content import Content
from hpo.tracking.run_marks import (
    MARK,
    Mark,
    RunState,
    by_trial,
    can_become,
    dataset_input,
    is_former,
    obsolete_tags,
)

if TYPE_CHECKING:
    from mlflow.entities import Run

NOTE, NAME = "mlflow.note.content", "mlflow.runName"
PARENT = "mlflow.parentRunId"
MAX_BATCH = 1000  # metrics, params and tags together
PAGE = 5000  # runs per request


class CountingClient:
    """An MlflowClient that counts its requests."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.n = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not callable(method):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            self.n += 1
            return method(*args, **kwargs)

        return call


class Runs:
    """The runs of one study, for reading and writing. MLflow's exceptions pass through.

    Args:
        client: client of MLflow.
        experiment_id: id of the experiment with the runs.
        uid: unique id of the study.

    Attributes:
        held: run by trial number (None: the study itself).
        created: number of runs created since the last `reset_counts`.
        updated: number of runs updated since the last `reset_counts`, without the created ones.
    """

    def __init__(self, client: CountingClient, experiment_id: str, uid: str) -> None:
        self._client, self._experiment_id, self._uid = client, experiment_id, uid
        self.held: dict[int | None, RunState] = {}
        self._doubles: dict[int | None, list[RunState]] = {}
        self._strays: list[str] = []
        self.created = self.updated = 0

    @property
    def calls(self) -> int:
        """Return the number of requests since the last `reset_counts`."""
        return self._client.n

    def reset_counts(self) -> None:
        """Set all counts to 0."""
        self.created = self.updated = self._client.n = 0

    def read(self) -> None:
        """Read the state of all runs.

        Several runs of one trial come from two syncs without a common lock, from a request that was
        repeated because its answer got lost, from a sync that ended while it replaced a run, or
        from an experiment that was restored with its deleted runs. One stays, see `RunState.worth`;
        the others go when its content is written, or else in `delete_others`.
        """
        found, strays = by_trial(self.search())
        states = {key: [RunState.of(run) for run in runs] for key, runs in found.items()}
        self.held = {key: max(several, key=RunState.worth) for key, several in states.items()}
        self._doubles = {key: several for key, several in states.items() if len(several) > 1}
        self._strays = [run.info.run_id for run in strays]

    def _choose(self, content: Content) -> None:
        """Keep the best of several runs of a content."""
        if doubles := self._doubles.pop(content.trial, None):
            kept = max(doubles, key=lambda state: state.worth(content))
            self._keep(content.trial, kept, doubles)

    def _keep(self, key: int | None, kept: RunState, several: Sequence[RunState]) -> None:
        self.held[key] = kept
        if key is None:
            self._adopt(kept.run_id)
        for state in several:
            if state is not kept:
                self._client.delete_run(state.run_id)

    def delete_others(self) -> None:
        """Delete what is left of several runs of one trial, and runs whose trial cannot be told."""
        for key, several in self._doubles.items():
            self._keep(key, self.held[key], several)
        for run_id in self._strays:
            self._client.delete_run(run_id)
        self._doubles, self._strays = {}, []

    def search(self) -> Iterator[Run]:
        """Yield all runs of the study, whatever their content.

        Pages are cut by position, so a run may be on two of them if another is made meanwhile.
        """
        token, seen = None, set[str]()
        while True:
            page = self._client.search_runs(
                [self._experiment_id],
                f"tags.`hpo.study_uid` = '{self._uid}'",
                max_results=PAGE,
                page_token=token,
            )
            for run in page:
                if run.info.run_id not in seen:
                    seen.add(run.info.run_id)
                    yield run
            token = page.token
            if not token:
                return

    def ensure(self, content: Content) -> RunState:
        """Return the run of a content; a missing run is created, one with anything else replaced.

        Tags that users have added to the old run, its note and its name are copied to the new run.
        The old run goes last, so that they are never lost.
        """
        self._choose(content)
        held, old = self.held.get(content.trial), None
        tags = {NOTE: content.description, NAME: content.name, **content.tags}
        if held and held.mark and not can_become(held.mark, content):
            there = self._client.get_run(held.run_id).data.tags
            theirs = {key: text for key, text in there.items() if not key.startswith(OUR_TAGS)}
            tags = {**theirs, **tags, **{key: there[key] for key in (NOTE, NAME) if key in there}}
            held, old = None, held
        if held is None:
            run = self._client.create_run(
                self._experiment_id,
                start_time=content.start_ms,
                tags=tags,
                run_name=tags[NAME],
            )
            held = RunState(run.info.run_id, run.info.status, None, None, is_new=True)
            self.created += 1
            self._keep(content.trial, held, [old] if old else [])
        return held

    def _adopt(self, run_id: str) -> None:
        """Move the promotions of a study under its new run."""
        terms = f"tags.`{PROMOTION_OF}` LIKE '{self._uid}/%'"
        for run in self._client.search_runs([self._experiment_id], terms):
            self._client.set_tag(run.info.run_id, PARENT, run_id)

    def bring_up(self, content: Content) -> None:
        """Write everything that the run of a content lacks."""
        self._choose(content)
        held, mark = self.held.get(content.trial), Mark.of(content)
        if held and held.mark != mark and is_former(held.mark, content):
            content = content.as_before()
            mark = Mark.of(content)
        obsolete: list[str] = []
        if held and held.tags is not None:
            obsolete = obsolete_tags(held.tags, content)
            differs = any(held.tags.get(name) != text for name, text in content.tags.items())
            if held.mark == mark and (differs or obsolete):
                held.mark = mark._replace(tags="changed by hand")  # so they are written again
            held.tags = None
        data = content.data.digest if content.data else None
        if held and held.mark == mark and held.has_status(content) and held.data == data:
            return
        held = self.ensure(content)
        if content.data and held.data != data:
            self._client.log_inputs(held.run_id, [dataset_input(content.data)])
            held.data = data
        if held.mark != mark:
            for name in [] if held.is_new else obsolete:
                self._delete_tag(held.run_id, name)
            self._log(content, held, mark)
            held.mark = mark
        if not held.has_status(content):
            self._set_status(content, held)
        self.updated += not held.is_new
        held.is_new = False

    def _delete_tag(self, run_id: str, tag: str) -> None:
        """Delete a tag that may be gone already."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.delete_tag(run_id, tag)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise

    def _log(self, content: Content, held: RunState, mark: Mark) -> None:
        """Write metrics, params and tags in as few requests as MLflow's limits allow.

        The request with the mark comes last.
        """
        from mlflow.entities import Metric, Param, RunTag

        had = held.mark
        metrics = [
            Metric(name, value, row.time_ms, row.step)
            for row in content.rows[had.rows if had else 0 :]
            for name, value in zip(row.names, row.values, strict=True)
        ]
        given = {} if had and had.params else content.params
        params = [Param(name, value) for name, value in given.items()]
        named = {} if had and had.tags == mark.tags else content.tags
        tags = [RunTag(name, value) for name, value in {**named, MARK: str(mark)}.items()]
        while len(metrics) > MAX_BATCH - len(params) - len(tags):
            self._client.log_batch(held.run_id, metrics[:MAX_BATCH])
            metrics = metrics[MAX_BATCH:]
        self._client.log_batch(held.run_id, metrics, params, tags)

    def _set_status(self, content: Content, held: RunState) -> None:
        if content.end_ms is None:
            self._client.update_run(held.run_id, content.status)
        else:
            self._client.set_terminated(held.run_id, content.status, content.end_ms)
            held.end_ms = content.end_ms
        held.status = content.status

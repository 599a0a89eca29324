"""Comparison of MLflow with the storage, value by value, without writing.

Anything that users added to the runs in MLflow (tags, params, metrics, notes, names, files) is no
difference.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial

from hpo.config import Locations, require_store
from hpo.tracking.artifact_uploads import lost_files
from hpo.tracking.run_content import Content
from hpo.tracking.run_marks import (
    FILES,
    MARK,
    TRIAL,
    Mark,
    by_trial,
    data_of,
    is_former,
    obsolete_tags,
)
from hpo.tracking.runs import CountingClient, Runs
from hpo.tracking.study_projection import project_study
from hpo.tracking.trial_projection import StudyView, project_trial, projection_error
from recsys.messages import count

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Point = tuple[int, int, str]  # step, time_ms, value as text, since nan equals nan here
MAX_SHOWN = 60  # characters of a value


def differences(
    connect: Callable[[str], MlflowClient],
    locations: Locations,
    view: StudyView,
    trials: Sequence[FrozenTrial],
) -> list[str]:
    """Return a line for each value that MLflow lacks, has differently, or has in excess.

    MLflow's exceptions pass through. The comparison costs one request per metric of each run, and
    one per run with artifacts.

    Args:
        connect: opens the MLflow client.
        locations: locations of the storage and of MLflow.
        view: the study.
        trials: all trials of the study.

    Raises:
        NoStoreError: the MLflow database is missing.
    """
    require_store(locations.tracking_uri)
    client = connect(locations.tracking_uri)
    experiment = client.get_experiment_by_name(locations.experiment)
    if experiment is None or experiment.lifecycle_stage == "deleted":
        state = "missing" if experiment is None else "deleted"
        return [f"experiment {locations.experiment!r} is {state}"]
    runs = Runs(CountingClient(client), experiment.experiment_id, view.record.uid)
    found, strays = by_trial(runs.search())
    contents, refused = _contents(view, trials, found)
    for number in refused:
        found.pop(number, None)
    lost = [f"run {run.info.run_id}: its trial cannot be told, {_trial_tag(run)}" for run in strays]
    return [*refused.values(), *_compare(client, found, contents), *lost]


def _trial_tag(run: Run) -> str:
    return f"tag {TRIAL} is {_shortened(run.data.tags.get(TRIAL))} in MLflow"


def _contents(
    view: StudyView, trials: Sequence[FrozenTrial], found: Mapping[int | None, Sequence[Run]]
) -> tuple[dict[int | None, Content], dict[int, str]]:
    """Return the content of each run, and a line on each trial that cannot be projected."""
    parent = found[None][0].info.run_id if None in found else ""
    contents, refused = [project_study(view, trials)], dict[int, str]()
    for trial in trials:
        try:
            contents.append(project_trial(view, trial, parent))
        except Exception as error:  # as in a sync, one trial must not hide the others
            refused[trial.number] = projection_error(trial, error)
    return {content.trial: content for content in contents if content}, refused


def _compare(
    client: MlflowClient,
    found: Mapping[int | None, Sequence[Run]],
    contents: Mapping[int | None, Content],
) -> Iterator[str]:
    for key in sorted(found.keys() | contents.keys(), key=lambda key: -1 if key is None else key):
        name = "study" if key is None else f"trial {key}"
        runs = found.get(key, ())
        if key not in contents:
            yield f"{name}: {_ids(runs)}, but the trial never started"
        elif len(runs) != 1:
            yield f"{name}: {_ids(runs)}"
        else:
            yield from (f"{name}: {text}" for text in _of_run(client, runs[0], contents[key]))


def _ids(runs: Sequence[Run]) -> str:
    return f"{len(runs)} runs ({', '.join(run.info.run_id for run in runs)})" if runs else "no run"


def _of_run(client: MlflowClient, run: Run, content: Content) -> Iterator[str]:
    info, data = run.info, run.data
    if is_former(Mark.parse(data.tags.get(MARK)), content):
        content = content.as_before()
        yield _of_former(content)
    pairs: list[tuple[str, object, object]] = [
        ("status", info.status, content.status),
        ("start", info.start_time, content.start_ms),
        ("dataset", data_of(run), content.data.digest if content.data else None),
    ]
    if content.files:
        pairs.append((f"tag {FILES}", data.tags.get(FILES), content.files_digest()))
    if content.end_ms is not None:  # MLflow may keep an earlier end of a run that goes on
        pairs.append(("end", info.end_time, content.end_ms))
    for kind, has, wanted in (
        ("param", data.params, content.params),
        ("tag", data.tags, content.tags),
    ):
        pairs += [(f"{kind} {name}", has.get(name), value) for name, value in wanted.items()]
    for name, there, here in pairs:
        if there != here:
            yield f"{name} is {_shortened(there)} in MLflow, {_shortened(here)} in the storage"
    for name in obsolete_tags(data.tags, content):
        yield f"tag {name} is {_shortened(data.tags[name])} in MLflow, and no more in the storage"
    for path in lost_files(client, info.run_id, content):
        yield f"file {path} is missing in MLflow"
    for name, wanted_points in sorted(_points(content).items()):
        history = client.get_metric_history(info.run_id, name)
        points = [(m.step, m.timestamp, _as_stored_value(m.value)) for m in history]
        yield from _of_metric(name, points, wanted_points)


def _of_former(content: Content) -> str:
    """Return the line on a run whose rows older versions wrote in another way."""
    if content.trial is None:
        return (
            "progress: in the order of the clock in MLflow, as older versions wrote it; in the "
            "order in which trials ended in the storage"
        )
    return (
        f"{', '.join(content.rows[-1].names)}: at step {content.rows[-1].step} in MLflow, "
        "where older versions put them; step 0 in the storage"
    )


def _points(content: Content) -> dict[str, list[Point]]:
    """Return the points of each metric."""
    found: dict[str, list[Point]] = defaultdict(list)
    for row in content.rows:
        for name, value in zip(row.names, row.values, strict=True):
            found[name].append((row.step, row.time_ms, _as_stored_value(value)))
    return found


def _of_metric(name: str, there: Sequence[Point], here: Sequence[Point]) -> Iterator[str]:
    lacking, surplus = sorted({*here} - {*there}), sorted({*there} - {*here})
    for what, points, total in (
        ("not in MLflow", lacking, len(here)),
        ("not in the storage", surplus, len(there)),
    ):
        if points:
            step, time_ms, value = points[0]
            moment = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
            first = f"step {step}, {moment}, value {value}"
            yield (
                f"metric {name}: {len(points)} of {count(total, 'point')} {what}, the first: "
                f"{first}"
            )
    if len(there) > len({*there}):
        yield f"metric {name}: {count(len(there) - len({*there}), 'duplicate point')}"


def _as_stored_value(value: float) -> str:
    """Return a value as MLflow stores it: infinities become the largest number."""
    largest = sys.float_info.max
    return repr(float(min(max(value, -largest), largest)))


def _shortened(value: object) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."

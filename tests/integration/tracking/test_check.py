"""`hpo.sync --check` sees every difference, says it once, and writes nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from hpo import sync
from hpo.cli.overview import Overview
from hpo.errors import NoStoreError
from hpo.study.trial_rows import read_trials
from hpo.tracking.mirror import Mirror
from recsys.artifacts.mlflow_client import open_client
from tests.support.fake_study import FakeStudy, locations
from tests.support.mlflow_server import StoredRun, by_trial, comparable
from tests.support.real_study import RealStudy


@dataclass
class Mirrored:
    """A study of three trials, all of it in MLflow."""

    study: FakeStudy
    client: MlflowClient
    runs: dict[int | None, StoredRun]

    def check(self) -> list[str]:
        return Mirror(self.study.locations, None).check()


@pytest.fixture
def mirrored(tmp_path: Path, mlflow_uri: str) -> Mirrored:
    study = FakeStudy(locations(tmp_path, mlflow_uri), n_trials=2)
    study.run(TrialState.COMPLETE)
    study.run(TrialState.FAIL, cause="error")
    study.run(TrialState.PRUNED)
    study.keep(0)
    Mirror(study.locations, None).sync()
    return Mirrored(study, open_client(mlflow_uri), by_trial(mlflow_uri))


def options(mirrored: Mirrored, *more: str) -> list[str]:
    at = mirrored.study.locations
    return ["--storage", at.storage, "--tracking-uri", at.tracking_uri, *more]


def test_equal_is_exit_code_0(mirrored: Mirrored, capsys: pytest.CaptureFixture[str]) -> None:
    assert sync.main(options(mirrored, "--check")) == 0
    assert capsys.readouterr().out == "study fake-demo: MLflow equals the storage\n"


def test_what_people_add_is_no_difference(mirrored: Mirrored) -> None:
    run, client = mirrored.runs[0].run_id, mirrored.client
    client.set_tag(run, "mine", "1")
    client.set_tag(run, "mlflow.note.content", "my own words")
    client.log_metric(run, "my_metric", 1.0)
    client.log_text(run, "odd", "notes.txt")
    client.update_run(run, name="the good one")
    assert mirrored.check() == []


def forget_a_run(m: Mirrored) -> list[str]:
    m.client.delete_run(m.runs[1].run_id)
    return ["trial 1: no run"]


def double_a_run(m: Mirrored) -> list[str]:
    run = m.runs[2]
    again = m.client.create_run("1", run.start_ms, tags=run.tags).info.run_id
    ids = "|".join((f"{run.run_id}, {again}", f"{again}, {run.run_id}"))
    return [rf"trial 2: 2 runs \(({ids})\)"]


def invent_a_trial(m: Mirrored) -> list[str]:
    tags = {**m.runs[2].tags, "optuna.trial": "7"}
    run = m.client.create_run("1", tags=tags).info.run_id
    return [rf"trial 7: 1 runs \({run}\), but the trial never started"]


def change_a_state(m: Mirrored) -> list[str]:
    end = m.runs[0].end_ms
    m.client.set_terminated(m.runs[0].run_id, "FAILED", end_time=end)
    return ["trial 0: status is 'FAILED' in MLflow, 'FINISHED' in the storage"]


def change_an_end(m: Mirrored) -> list[str]:
    m.client.set_terminated(m.runs[None].run_id, "FINISHED", end_time=5)
    return [f"study: end is 5 in MLflow, {m.runs[None].end_ms} in the storage"]


def change_tags(m: Mirrored) -> list[str]:
    m.client.set_tag(m.runs[1].run_id, "hpo.message", "all is well")
    m.client.delete_tag(m.runs[1].run_id, "hpo.cause")
    return [
        "trial 1: tag hpo.cause is missing in MLflow, 'error' in the storage",
        "trial 1: tag hpo.message is 'all is well' in MLflow, 'why: error' in the storage",
    ]


def add_points(m: Mirrored) -> list[str]:
    run = m.runs[2]
    (step, time_ms, value) = run.series("mrr")[0]
    m.client.log_metric(run.run_id, "mrr", value, timestamp=time_ms + 1, step=step)
    m.client.log_metric(run.run_id, "mrr", 0.5, timestamp=time_ms, step=99)
    moment = datetime.fromtimestamp((time_ms + 1) / 1000, UTC).isoformat(timespec="milliseconds")
    first = re.escape(f"step {step}, {moment}, value {value!r}")
    return [f"trial 2: metric mrr: 2 of 5 points not in the storage, the first: {first}"]


def lose_files(m: Mirrored) -> list[str]:
    for key, path in ((None, "report/report.html"), (0, "item_vecs.npy")):
        folder = Path(url2pathname(urlsplit(m.runs[key].artifact_uri).path))
        (folder / path).unlink()
    m.client.delete_tag(m.runs[0].run_id, "hpo.files")
    digest = m.runs[0].tags["hpo.files"]
    return [
        "study: file report/report.html is missing in MLflow",
        f"trial 0: tag hpo.files is missing in MLflow, '{digest}' in the storage",
        "trial 0: file item_vecs.npy is missing in MLflow",
    ]


def write_another_report(m: Mirrored) -> list[str]:
    m.study.keep(0, "second")
    return [
        r"study: tag hpo.files is '\w{16}' in MLflow, '\w{16}' in the storage",
        r"trial 0: tag hpo.files is '\w{16}' in MLflow, '\w{16}' in the storage",
    ]


def train_on(m: Mirrored) -> list[str]:
    trial = m.study.start()
    m.study.train(trial, 1)
    return [
        r"study: status is 'FINISHED' in MLflow, 'RUNNING' in the storage",
        "trial 3: no run",
    ]


def lose_the_experiment(m: Mirrored) -> list[str]:
    m.client.delete_experiment("1")
    return ["experiment 'two-tower-hpo' is deleted"]


@pytest.mark.parametrize(
    "change",
    [
        forget_a_run,
        double_a_run,
        invent_a_trial,
        change_a_state,
        change_an_end,
        change_tags,
        add_points,
        lose_files,
        write_another_report,
        train_on,
        lose_the_experiment,
    ],
)
def test_every_difference_is_told_and_none_is_mended(
    mirrored: Mirrored,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Mirrored], list[str]],
) -> None:
    expected = change(mirrored)
    uri = mirrored.study.locations.tracking_uri
    before = None if change is double_a_run else comparable(uri)
    assert sync.main(options(mirrored, "--check")) == 3
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) == len(expected)
    for line, wanted in zip(lines, expected, strict=True):
        assert line == wanted or re.fullmatch(wanted, line), line
    plural = "" if len(expected) == 1 else "s"
    wanted = f"study fake-demo: {len(expected)} difference{plural}; python -m hpo.sync --study-name"
    assert last.startswith(wanted)
    assert before is None or comparable(uri) == before


def test_points_that_mlflow_lacks(mirrored: Mirrored) -> None:
    trial = mirrored.study.start()
    mirrored.study.train(trial, 1)
    Mirror(mirrored.study.locations, None).sync()
    mirrored.study.train(trial, 2)
    found = mirrored.check()
    assert len(found) == 8  # seven metrics and the loss
    assert found[0].startswith("trial 3: metric ")
    assert all(": 2 of 3 points not in MLflow, the first: step 2, 20" in line for line in found)
    Mirror(mirrored.study.locations, None).sync()
    assert mirrored.check() == []


def test_without_a_store_nothing_is_made(mirrored: Mirrored, tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    elsewhere = replace(mirrored.study.locations, tracking_uri=f"sqlite:///{path.as_posix()}")
    with pytest.raises(NoStoreError, match=rf"^{re.escape(str(path))}: there is no MLflow store; "):
        Mirror(elsewhere, None).check()
    assert not path.exists()
    other = replace(mirrored.study.locations, experiment="none")
    assert Mirror(other, None).check() == ["experiment 'none' is missing"]
    assert mirrored.client.get_experiment_by_name("none") is None


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="no other time zone can be set")
def test_another_time_zone_is_no_difference(
    tmp_path: Path, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optuna stores local times without their zone, and a team has several zones."""
    real = RealStudy(tmp_path)
    study = real.train("shop", 2)
    there = replace(real.locations, tracking_uri=mlflow_uri)
    Mirror(there, "shop").sync()
    before, rows = Overview.of(study, there), read_trials(study)
    ends = [row.ended.astimezone() for row in rows if row.ended]
    try:
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("TZ", "UTC+5")
            time.tzset()
            assert Mirror(there, "shop").check() == []
            assert Overview.of(study, there).last == before.last
            for now, was, end in zip(read_trials(study), rows, ends, strict=True):
                assert was.started and now.started and was.ended and now.ended
                assert now.ended - now.started == was.ended - was.started
                assert now.ended.astimezone() == end
    finally:
        time.tzset()

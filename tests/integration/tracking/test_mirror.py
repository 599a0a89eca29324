"""MLflow equals the storage: exactly, once, and again after anything that can happen to it."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna_dashboard
import pytest
from mlflow import MlflowClient

from hpo import sync
from hpo.config.locations import Locations
from hpo.study.files.artifacts import artifact_folder
from hpo.study.locks import exclusive
from hpo.tracking.mirror import Mirror
from hpo.tracking.run_content import Content
from hpo.tracking.trial_projection import project_trial
from recsys.artifacts.mlflow_client import experiment_id, open_client
from recsys.errors import TrackingError
from tests.support.fake_study import FakeStudy, locations
from tests.support.mirrored import all_states, assert_mirrored, mirror, study
from tests.support.mlflow_server import (
    TrackingServer,
    by_trial,
    comparable,
    stored_runs,
)

__all__ = ["mirror", "study"]

from tests.support.eight_trials import COMPLETE, FAIL, PRUNED, delete_all_runs


def test_trials_in_all_states(study: FakeStudy, mirror: Mirror) -> None:
    all_states(study, longest=130)  # 1040 values: more than one request takes
    report = mirror.sync()
    assert (report.n_trials, report.created, report.updated, report.uploaded) == (7, 8, 0, 4)
    assert_mirrored(mirror, study.locations.tracking_uri)
    runs = by_trial(study.locations.tracking_uri)
    assert [runs[number].status for number in range(7)] == [
        "FINISHED", "KILLED", "FAILED", "FAILED", "RUNNING", "FINISHED", "SCHEDULED",
    ]  # fmt: skip
    assert report.address
    assert report.address.endswith("&orderByAsc=false&compareRunsMode=CHART")


def test_again_writes_nothing(study: FakeStudy, mirror: Mirror) -> None:
    all_states(study)
    mirror.sync()
    before = comparable(study.locations.tracking_uri)
    again, remembered = mirror.sync(), mirror.sync(fresh=False)
    assert (again.created, again.updated, again.calls) == (0, 0, 4)
    assert (remembered.created, remembered.updated, remembered.calls) == (0, 0, 0)
    assert comparable(study.locations.tracking_uri) == before


def test_a_run_of_an_older_version_is_left_and_told(
    study: FakeStudy, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.run(COMPLETE)
    with monkeypatch.context() as older:
        older.setattr("hpo.tracking.mirror.project_trial", project_as_before)
        mirror.sync()
    before = comparable(study.locations.tracking_uri)
    report = Mirror(study.locations, None).sync()
    assert (report.created, report.updated) == (0, 0)
    assert comparable(study.locations.tracking_uri) == before
    (line,) = mirror.check()
    assert line.startswith("trial 0: seconds, best_epoch, best_recall_at_10: at step 3 in MLflow")
    open_client(study.locations.tracking_uri).delete_run(
        by_trial(study.locations.tracking_uri)[0].run_id
    )
    mirror.sync()
    assert mirror.check() == []


def project_as_before(*given: Any) -> Content | None:
    """Play the version whose single values stood at the best epoch."""
    found = project_trial(*given)
    return found and found.as_before()


def test_what_a_study_keeps_is_in_its_runs(study: FakeStudy, mirror: Mirror) -> None:
    for _ in range(2):
        study.run(COMPLETE)
    study.keep(0)
    mirror.sync()
    study.keep(1, "second")
    study.run(COMPLETE)
    remembered, fresh, again = mirror.sync(fresh=False), mirror.sync(), mirror.sync()
    assert [report.uploaded for report in (remembered, fresh, again)] == [0, 4, 0]
    runs = by_trial(study.locations.tracking_uri)
    assert fresh.run_id == runs[None].run_id
    assert runs[None].files == {
        "report/report.html": b"report.html, second",
        "report/history.png": b"history.png, second",
    }
    assert runs[1].files["item_vecs.npy"] == b"item_vecs.npy of trial 1, second"
    assert runs[0].files["item_vecs.npy"] == b"item_vecs.npy of trial 0, first"  # still its own
    assert runs[2].files == {}
    assert mirror.check() == []


def test_files_of_another_machine_are_told_and_in_nobodys_way(
    study: FakeStudy, mirror: Mirror, capsys: pytest.CaptureFixture[str]
) -> None:
    study.run(COMPLETE)
    study.keep(0)
    mirror.sync()
    folder = artifact_folder(study.locations.storage)
    folder.rename(folder.with_name("elsewhere"))
    assert mirror.sync().absent == ()  # MLflow has them
    delete_all_runs(study)
    report = mirror.sync()
    assert (report.created, report.uploaded) == (2, 0)
    wanted = ["item_vecs.npy", "model_meta.json", "report/history.png", "report/report.html"]
    assert sorted(report.absent) == wanted
    stores = ["--storage", study.locations.storage, "--tracking-uri", study.locations.tracking_uri]
    assert sync.main(stores) == 0
    said = f"not in MLflow: {', '.join(report.absent)}; the original files are not in {folder} "
    assert said in capsys.readouterr().out
    assert len(mirror.check()) == 6  # two digests, four files
    folder.with_name("elsewhere").rename(folder)
    page = folder / next(f.artifact_id for f in mirror._view.kept[None] if f.name == "report.html")
    content = page.read_text()
    page.write_text("of a report that was killed before it said so")
    report = mirror.sync()
    assert (report.uploaded, report.absent) == (2, ("report/report.html",))
    page.write_text(content)
    assert mirror.sync().uploaded == 2
    assert_mirrored(mirror, study.locations.tracking_uri)


def test_a_study_without_trials_has_no_run(study: FakeStudy, mirror: Mirror) -> None:
    assert mirror.sync().address is None
    assert stored_runs(study.locations.tracking_uri) == []


@pytest.mark.parametrize("fresh", [True, False])
def test_a_trial_is_followed_while_it_runs(study: FakeStudy, mirror: Mirror, fresh: bool) -> None:
    uri = study.locations.tracking_uri
    trial = study.study.ask()  # no params yet
    mirror.sync(fresh=fresh)
    assert by_trial(uri)[0].params == {}
    study.study.tell(trial, state=FAIL)
    trial = study.start()
    ids = set()
    for n_epochs in (2, 4):
        study.train(trial, 2)
        mirror.sync(fresh=fresh)
        run = by_trial(uri)[1]
        assert [step for step, *_ in run.series("recall_at_10")] == list(range(1, n_epochs + 1))
        assert run.status == "RUNNING"
        ids.add(run.run_id)
    study.train(trial, 1)
    study.end(trial, COMPLETE)
    report = mirror.sync(fresh=fresh)
    assert report.created == 0
    assert_mirrored(mirror, uri)
    assert ids == {by_trial(uri)[1].run_id}


def test_a_parked_trial_goes_on_in_its_run(study: FakeStudy, mirror: Mirror) -> None:
    trial = study.start()
    study.train(trial, 2)
    mirror.sync()
    study.park(trial)
    mirror.sync()
    run = by_trial(study.locations.tracking_uri)[0]
    assert run.status == "SCHEDULED"
    assert study.study.ask().number == trial.number
    study.train(trial, 2)
    mirror.sync()
    study.end(trial, COMPLETE)
    mirror.sync()
    after = by_trial(study.locations.tracking_uri)[0]
    assert (after.run_id, after.status) == (run.run_id, "FINISHED")
    assert len(after.series("recall_at_10")) == 4


def test_a_study_that_goes_on_runs_again(tmp_path: Path, mlflow_uri: str) -> None:
    study = FakeStudy(locations(tmp_path), n_trials=2)
    mirror = Mirror(study.locations, None)
    study.run(PRUNED, 1)
    assert mirror.sync().status == "SCHEDULED"
    study.run(PRUNED, 1)
    assert mirror.sync().status == "FINISHED"
    study.start()
    assert mirror.sync().status == "RUNNING"
    assert by_trial(mlflow_uri)[None].status == "RUNNING"


def test_two_studies_of_one_name_stay_apart(tmp_path: Path, mlflow_uri: str) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        study = FakeStudy(locations(tmp_path / folder, mlflow_uri))
        study.run(COMPLETE)
        Mirror(study.locations, None).sync()
    runs = stored_runs(mlflow_uri)
    assert len(runs) == 4
    assert len({run.tags["hpo.study_uid"] for run in runs}) == 2


def test_notes_link_to_mlflow_and_keep_what_people_wrote(study: FakeStudy, mirror: Mirror) -> None:
    trial = study.run(COMPLETE)
    study.run(COMPLETE)
    optuna_dashboard.save_note(trial, "looks odd\n\nsecond line")
    report = mirror.sync()
    ids = {key: run.run_id for key, run in by_trial(study.locations.tracking_uri).items()}
    base = "[See it in MLflow](http://127.0.0.1:5000/#/experiments/1/runs"
    best = "2 of 50 trials finished, best: trial 1 with recall_at_10 0.0010"
    assert optuna_dashboard.get_note(study.study) == f"[See it in MLflow]({report.address}): {best}"
    assert (
        optuna_dashboard.get_note(trial)
        == f"{base}/{ids[0]}?workflowType=machine_learning)\n\nlooks odd\n\nsecond line"
    )
    delete_all_runs(study)
    mirror.sync()
    moved = by_trial(study.locations.tracking_uri)[0].run_id
    assert (
        optuna_dashboard.get_note(trial)
        == f"{base}/{moved}?workflowType=machine_learning)\n\nlooks odd\n\nsecond line"
    )


def test_a_note_that_is_saved_during_a_sync_is_kept(
    study: FakeStudy, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = [study.run(COMPLETE) for _ in range(3)]
    storage = mirror.study._storage
    write, saved = storage.set_study_system_attr, []

    def write_while_people_do(study_id: int, key: str, value: Any) -> None:
        write(study_id, key, value)
        if not saved:
            saved.append(key)
            optuna_dashboard.save_note(trials[2], "looks odd")

    monkeypatch.setattr(storage, "set_study_system_attr", write_while_people_do)
    mirror.sync()
    note = optuna_dashboard.get_note(trials[2])
    assert note.startswith("[See it in MLflow](http://")
    assert note.endswith(")\n\nlooks odd")
    attrs = storage.get_study_system_attrs(mirror.study._study_id)
    assert attrs[f"dashboard:{trials[2]._trial_id}:note_ver"] == 2


def test_links_lead_where_people_see_the_pages(study: FakeStudy) -> None:
    trial = study.run(COMPLETE)
    Mirror(study.locations, None).sync()
    seen = replace(
        study.locations, dashboard_url="https://hpo.shop/x", mlflow_url="https://ml.shop"
    )
    report = Mirror(seen, None).sync()
    assert (report.created, report.updated) == (0, 2)
    run = by_trial(study.locations.tracking_uri)[0]
    assert run.tags["hpo.dashboard"] == "https://hpo.shop/x/dashboard/studies/1/trials?numbers=0"
    address = f"https://ml.shop/#/experiments/1/runs/{run.run_id}?workflowType=machine_learning"
    assert optuna_dashboard.get_note(trial) == f"[See it in MLflow]({address})"
    assert Mirror(seen, None).sync().updated == 0


def test_the_study_names_its_data(study: FakeStudy, mirror: Mirror) -> None:
    study.run(COMPLETE)
    mirror.sync()
    client = open_client(study.locations.tracking_uri)
    runs = client.search_runs(["1"])
    named = {run.data.tags["hpo.kind"]: run.inputs.dataset_inputs for run in runs}
    assert named["trial"] == []
    (given,) = named["study"]
    assert (given.dataset.name, given.dataset.digest) == ("demo", "0123abcd")
    assert (given.dataset.source_type, given.dataset.source) == ("code", '{"uri": "ml-100k"}')
    assert given.dataset.profile == '{"n_users": 10, "n_items": 20}'
    assert len(client.search_runs(["1"], "dataset.digest = '0123abcd'")) == 1


def test_over_http_it_is_the_same(study: FakeStudy, tracking_server: TrackingServer) -> None:
    all_states(study)
    over_http = Locations(study.locations.storage, tracking_server.uri, "over-http")
    for target in (study.locations, over_http):
        Mirror(target, None).sync()
    there = comparable(tracking_server.database, "over-http")
    assert there == comparable(study.locations.tracking_uri)
    again = Mirror(over_http, None).sync()
    assert (again.created, again.updated, again.calls) == (0, 0, 4)
    client = MlflowClient(tracking_server.uri)
    best = client.search_runs(
        [experiment_id(client, "over-http")], "metrics.best_recall_at_10 > 0.005"
    )
    assert [run.info.run_name for run in best if run.data.tags["hpo.kind"] == "trial"] == [
        "trial-005"
    ]


def test_a_server_that_hangs_is_given_up(study: FakeStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # 10 without it
    study.run(COMPLETE)
    with closing(socket.create_server(("127.0.0.1", 0))) as hung:
        uri = f"http://user:secret@127.0.0.1:{hung.getsockname()[1]}"
        with pytest.raises(TrackingError, match="timed out") as error:
            Mirror(Locations(study.locations.storage, uri), None).sync()
    assert "secret" not in str(error.value)


def test_a_sync_that_waits_in_vain_says_for_whom(
    study: FakeStudy, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.tracking.mirror.LOCK_SECONDS", 0.1)
    with (
        exclusive(study.locations.storage, study.study.study_name, role="sync"),
        pytest.raises(TrackingError, match=f"process {os.getpid()}"),
    ):
        mirror.sync()

"""The files of a study in an artifact store: a folder, and a bucket of moto's server."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.trial import TrialState

from hpo.config import Locations, command
from hpo.errors import ArtifactStoreError, SettingsError
from hpo.study.files.artifact_store import ArtifactStore
from hpo.study.files.artifacts import artifact_folder, stored_artifacts
from hpo.study.files.contents import ArtifactContents, DashboardFiles
from hpo.study.files.sending import fetch_snapshots, record_snapshots, remove_sent, send_files
from hpo.study.locks import exclusive
from hpo.study.storage import parking_place, snapshot_file
from recsys.artifacts import sha256
from tests.support.fake_study import FakeStudy, locations
from tests.support.object_store import ObjectStore, moto_server, object_store
from tests.support.tcp_proxy import before_port

__all__ = ["moto_server", "object_store"]

KEPT = ["history.png", "item_vecs.npy", "model_meta.json", "report.html"]


@pytest.fixture(params=["folder", "file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        request.getfixturevalue("object_store")
        return "s3://team/studies"
    place = tmp_path / "shared" / "store"
    return place.as_uri() if request.param == "file" else str(place)


def study_with(folder: Path, url: str) -> FakeStudy:
    folder.mkdir()
    return FakeStudy(replace(locations(folder), artifacts=url))


def names(study: FakeStudy) -> list[str]:
    """Names of the study's files in the store."""
    store = ArtifactStore(str(study.locations.artifacts))
    return sorted(key.partition("-")[2] for key in store.keys(study.record.uid))


def park(study: FakeStudy, content: bytes) -> Path:
    """Park a new trial; return its snapshot."""
    trial = study.start()
    study.train(trial, 2)
    study.park(trial)
    path = snapshot_file(parking_place(study.locations.storage, study.record), trial.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_files_go_to_the_store_once_and_away_when_nobody_wants_them(
    tmp_path: Path, url: str
) -> None:
    study = study_with(tmp_path / "a", url)
    study.run(TrialState.COMPLETE)
    study.keep(0)
    snapshot = park(study, b"weights")
    record_snapshots(study.locations, study.study, study.record)
    assert send_files(study.locations, study.study) == ""
    assert names(study) == sorted([*KEPT, snapshot.name])
    before = ArtifactStore(url).keys(study.record.uid)

    study.keep(0, "second")
    study.study.tell(study.study.ask(), state=TrialState.FAIL)  # it goes on, and ends
    assert send_files(study.locations, study.study) == ""
    assert names(study) == KEPT
    assert not before & ArtifactStore(url).keys(study.record.uid)

    remove_sent(study.locations, study.record.uid)
    assert names(study) == []


def test_another_machine_has_the_files_from_the_store(tmp_path: Path, url: str) -> None:
    study = study_with(tmp_path / "a", url)
    study.run(TrialState.COMPLETE)
    study.keep(0)
    snapshot = park(study, b"weights" * 1000)
    record_snapshots(study.locations, study.study, study.record)
    send_files(study.locations, study.study)
    shutil.rmtree(snapshot.parent)
    shutil.rmtree(artifact_folder(study.locations.storage))

    told: list[str] = []
    fetch_snapshots(study.locations, study.study, study.record, told.append)
    assert told == []
    assert snapshot.read_bytes() == b"weights" * 1000
    snapshot.write_bytes(b"of an earlier time")
    fetch_snapshots(study.locations, study.study, study.record, told.append)
    assert snapshot.read_bytes() == b"weights" * 1000

    contents = ArtifactContents(study.locations, study.record.uid)
    shown = DashboardFiles(study.locations, study.storage)
    for file in chain(*stored_artifacts(study.study, study.record.uid).values()):
        assert contents.copy(file, tmp_path / "copy")
        assert sha256(tmp_path / "copy") == file.sha256
        with shown.open_reader(file.artifact_id) as reader:
            assert reader.read() == (tmp_path / "copy").read_bytes()
    assert send_files(study.locations, study.study) == "", "nothing is missing there"


def test_what_is_nowhere_is_named(tmp_path: Path, url: str) -> None:
    study = study_with(tmp_path / "a", url)
    study.run(TrialState.COMPLETE)
    study.keep(0)
    (page,) = [f for f in stored_artifacts(study.study, study.record.uid)[None] if "html" in f.name]
    (artifact_folder(study.locations.storage) / page.artifact_id).unlink()
    missing = send_files(study.locations, study.study)
    assert f"{url} lacks 'report.html', and so does this machine" in missing
    assert "hpo.sync" in missing
    assert names(study) == [name for name in KEPT if name != "report.html"]
    assert not ArtifactContents(study.locations, study.record.uid).copy(page, tmp_path / "copy")
    with pytest.raises(ArtifactNotFound):
        DashboardFiles(study.locations, study.storage).open_reader(page.artifact_id)


def test_a_sync_that_goes_on_is_waited_for_within_the_time(tmp_path: Path) -> None:
    study = study_with(tmp_path / "a", str(tmp_path / "store"))
    study.run(TrialState.COMPLETE)
    study.keep(0)
    name = study.study.study_name
    with exclusive(study.locations.storage, name, role="sync"):
        missing = send_files(study.locations, study.study, 0.0)
    again = command("sync", name, study.locations)
    assert missing == f"the artifact store is incomplete: a sync is still running\n  {again}"
    assert names(study) == []
    assert send_files(study.locations, study.study, 0.0) == ""
    with ThreadPoolExecutor(1) as pool:
        study.keep(0, "second")
        with exclusive(study.locations.storage, name, role="sync"):
            sending = pool.submit(send_files, study.locations, study.study, 60.0)
            with pytest.raises(TimeoutError):
                sending.result(0.1)
        assert sending.result() == ""


def test_a_damaged_file_is_never_taken(tmp_path: Path, object_store: ObjectStore) -> None:
    study = study_with(tmp_path / "a", "s3://team")
    snapshot = park(study, b"weights")
    record_snapshots(study.locations, study.study, study.record)
    send_files(study.locations, study.study)
    (key,) = object_store.stored()
    object_store.client.put_object(Bucket="team", Key=key, Body=b"weighty")
    snapshot.unlink()
    told: list[str] = []
    fetch_snapshots(study.locations, study.study, study.record, told.append)
    (line,) = told
    assert line.startswith("the snapshot of trial 0 cannot be fetched from s3://team: ")
    assert line.endswith("is damaged: its sha256 is another")
    assert not snapshot.exists()


def test_a_store_out_of_reach_loses_nothing(
    tmp_path: Path, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = before_port(object_store.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")  # the client's own retries
    study = study_with(tmp_path / "a", "s3://team/studies")
    snapshot = park(study, b"weights")
    record_snapshots(study.locations, study.study, study.record)
    proxy.cut()
    missing = send_files(study.locations, study.study)
    assert missing.startswith("the artifact store is incomplete: s3://team/studies: ")
    assert "hpo.sync" in missing
    with pytest.raises(ArtifactStoreError):
        remove_sent(study.locations, study.record.uid)
    proxy.mend()
    assert send_files(study.locations, study.study) == ""
    assert names(study) == [snapshot.name]
    proxy.close()


def test_a_bucket_that_is_not_there_is_told(tmp_path: Path, object_store: ObjectStore) -> None:
    study = study_with(tmp_path / "a", "s3://nobody/studies")
    assert "The specified bucket does not exist" in send_files(study.locations, study.study)


def test_addresses_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="Protocol not known: nosuch; give a folder, s3://"):
        ArtifactStore("nosuch://bucket")
    with pytest.raises(SettingsError, match="pip install 'two-tower-hpo.cloud.'"):
        ArtifactStore("oci://bucket")  # a driver that no extra and no test brings


def test_a_folder_of_another_machine_is_refused() -> None:
    with pytest.raises(SettingsError, match="names the machine 'shared'; give a folder of this"):
        Locations.resolve(None, None, artifacts="file://shared/store")


@pytest.mark.parametrize("as_url", [False, True])
def test_a_folder_may_have_any_name(tmp_path: Path, as_url: bool) -> None:
    place = tmp_path / "Team Drive" / "señal 50%"
    study = study_with(tmp_path / "one", place.as_uri() if as_url else str(place))
    park(study, b"snapshot")
    record_snapshots(study.locations, study.study, study.record)
    send_files(study.locations, study.study)
    assert [path.name for path in place.iterdir()] == [study.record.uid]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Team Drive", "one"]

"""optuna-dashboard's view of a storage: long attributes are folded, and nothing else changes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import optuna_dashboard
import pytest
from optuna.storages import BaseStorage, get_storage
from optuna.trial import TrialState

from hpo.dashboards.host_guard import App
from hpo.errors import HpoError
from hpo.study.files.contents import DashboardFiles
from hpo.study.records import ATTEMPT, EPOCHS, OUTCOME, STUDY
from hpo.tracking.dashboard_view import LONGEST, FoldedStorage, dashboard_app, fold
from tests.support.fake_study import FakeStudy, locations

NOTE = "a note of a person, " * 30
MORE = {"theirs": [0.5] * 100}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> FakeStudy:
    """Two trials, the better one kept, with a note and somebody's attribute. Only to be read."""
    made = FakeStudy(locations(tmp_path_factory.mktemp("folded")))
    made.run(TrialState.COMPLETE)
    trial = made.start()
    made.train(trial, 20)
    trial.set_user_attr("theirs", MORE["theirs"])
    made.end(trial, TrialState.COMPLETE)
    made.study.set_user_attr("theirs", MORE["theirs"])
    optuna_dashboard.save_note(made.study, NOTE)
    made.keep(1)
    return made


def get(app: App, path: str) -> str:
    """Body of a page."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "here",
        "SERVER_PORT": "80", "HTTP_HOST": "here", "HTTP_ACCEPT_ENCODING": "",
        "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
    }  # fmt: skip
    statuses: list[str] = []
    body = b"".join(app(environ, lambda status, *_: statuses.append(status)))
    assert statuses == ["200 OK"], body
    return body.decode()


def app_of(study: FakeStudy, *, allow_writes: bool = False) -> App:
    store = DashboardFiles(study.locations, study.storage)
    return dashboard_app(study.storage, store, allow_writes=allow_writes)


def shown(study: FakeStudy, **options: bool) -> dict[str, Any]:
    """Requests that the page of the study makes."""
    found: dict[str, Any] = json.loads(get(app_of(study, **options), "/api/studies/1"))
    return found


def attrs_of(item: dict[str, Any]) -> dict[str, str]:
    return {attr["key"]: attr["value"] for attr in item["user_attrs"]}


@pytest.mark.parametrize("value", ["x" * LONGEST, 1, 2.5, None, {"a": [1, 2]}, [1.0], "ä", True])
def test_a_short_value_stays_as_it_is(value: object) -> None:
    assert fold(value) is value


def test_a_long_value_is_its_beginning_and_its_length() -> None:
    assert fold("ab" * 1000) == "ab" * 30 + "… (2,000 characters)"
    columns = {"epoch": list(range(500))}
    text = json.dumps(columns)
    assert fold(columns) == f"{text[:60]}… ({len(text):,} characters)"
    assert len(fold("x" * (LONGEST + 1))) <= LONGEST + 3  # hardly longer than what stays


def test_the_pages_show_long_attributes_folded(study: FakeStudy) -> None:
    page = shown(study)
    stored = study.study.trials
    for trial in [*page["trials"], *page["best_trials"]]:
        attrs = attrs_of(trial)
        text = json.dumps(stored[trial["number"]].user_attrs[EPOCHS])
        assert attrs[EPOCHS] == f"{text[:60]}… ({len(text):,} characters)"
        assert attrs[ATTEMPT].startswith('{"number": 1, "origin": ')
        assert max(len(attrs[key]) for key in (ATTEMPT, EPOCHS, OUTCOME)) <= 90
    assert [trial["number"] for trial in page["best_trials"]] == [1]
    record = study.study.user_attrs[STUDY]
    assert attrs_of(page)[STUDY] == f"{record[:60]}… ({len(record):,} characters)"


def test_notes_artifacts_and_attributes_of_others_stay(study: FakeStudy) -> None:
    page, whole = shown(study), shown(study, allow_writes=True)
    assert page["note"]["body"] == NOTE
    assert {artifact["filename"] for artifact in page["artifacts"]} == {
        "report.html",
        "history.png",
    }
    kept = {"item_vecs.npy", "model_meta.json"}
    assert {artifact["filename"] for artifact in page["trials"][1]["artifacts"]} == kept
    assert attrs_of(page)["theirs"] == json.dumps(MORE["theirs"])
    assert attrs_of(page["trials"][1])["theirs"] == json.dumps(MORE["theirs"])
    for item in (page, whole):
        for part in (item, *item["trials"], *item["best_trials"]):
            part["user_attrs"] = [a for a in part["user_attrs"] if not a["key"].startswith("hpo:")]
    assert page == whole


def test_nothing_is_folded_where_writes_are_allowed(study: FakeStudy) -> None:
    """A study that is renamed takes the attributes of the one that is shown."""
    page = shown(study, allow_writes=True)
    assert attrs_of(page)[STUDY] == study.study.user_attrs[STUDY]
    text = json.dumps(study.study.trials[0].user_attrs[EPOCHS])
    assert attrs_of(page["trials"][0])[EPOCHS] == text[:1024]  # optuna-dashboard's own limit


def test_the_csv_file_is_whole(study: FakeStudy) -> None:
    rows = list(csv.DictReader(io.StringIO(get(app_of(study), "/csv/1"))))
    for row, trial in zip(rows, study.study.trials, strict=True):
        assert row[f"UserAttribute {EPOCHS}"] == str(trial.user_attrs[EPOCHS])


@pytest.mark.parametrize("wrap", [lambda storage: storage, get_storage], ids=["plain", "cached"])
def test_the_storage_is_not_touched(
    study: FakeStudy, wrap: Callable[[BaseStorage], BaseStorage]
) -> None:
    """A storage with a cache gives out the very objects that it keeps."""
    storage = wrap(study.storage)
    before = storage.get_all_trials(1)
    studies = [vars(found) for found in storage.get_all_studies()]
    view = FoldedStorage(storage)
    trial_id = before[1]._trial_id
    looks = [
        *(view.get_all_trials(1, deepcopy=deep)[1] for deep in (True, False)),
        view.get_trial(trial_id),
        view.get_best_trial(1),
    ]
    for trial in looks:
        assert "characters)" in trial.user_attrs[EPOCHS]
        trial.user_attrs["planted"] = 1
        assert trial.params == before[1].params
        assert trial.intermediate_values == before[1].intermediate_values
        assert (trial.number, trial.value) == (1, before[1].value)
    assert "characters)" in view.get_study_user_attrs(1)[STUDY]
    assert view.get_study_system_attrs(1) == storage.get_study_system_attrs(1)
    assert storage.get_all_trials(1, deepcopy=False) == before
    assert [vars(found) for found in storage.get_all_studies()] == studies


def test_studies_are_listed_by_id(tmp_path: Path) -> None:
    study = FakeStudy(locations(tmp_path), name="z")
    for name in ("m", "a"):
        optuna.create_study(storage=study.storage, study_name=name)

    class Reversed(FoldedStorage):
        def get_all_studies(self) -> list[Any]:
            return super().get_all_studies()[::-1]

    found = FoldedStorage(Reversed(study.storage)).get_all_studies()
    assert [item.study_name for item in found] == ["z", "m", "a"]


def test_the_view_cannot_be_written_to(study: FakeStudy) -> None:
    view = FoldedStorage(study.storage)
    named = optuna.load_study(storage=view, study_name="fake-demo")
    with pytest.raises(HpoError, match="read-only"):
        named.set_user_attr("a", 1)
    with pytest.raises(HpoError, match="read-only"):
        named.ask()
    with pytest.raises(HpoError, match="read-only"):
        optuna.delete_study(storage=view, study_name="fake-demo")
    with pytest.raises(HpoError, match="read-only"):
        optuna.create_study(storage=view, study_name="new")
    with pytest.raises(HpoError, match="read-only"):
        view.set_trial_user_attr(1, "a", 1)

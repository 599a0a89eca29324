"""`hpo list`, `status`, `stop` and `delete` on real storages with studies in any state."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from hpo.cli import delete, list_studies, status, stop
from hpo.cli.overview import Overview, size_text
from hpo.errors import SettingsError, StudyError
from hpo.execution.ledger import Ledger
from hpo.execution.stopping.stop_request import sign_on
from hpo.reporting.folders import report_folder
from hpo.study.locks import exclusive, is_owned
from hpo.study.storage import parking_place
from tests.support.fake_study import FakeStudy, locations


@pytest.fixture
def fake(tmp_path: Path) -> FakeStudy:
    """Two complete trials, one pruned, one parked with a snapshot; a report and a model."""
    study = FakeStudy(locations(tmp_path), n_trials=5)
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE):
        study.run(state)
    trial = study.start()
    study.train(trial, 2)
    study.park(trial)
    study.keep(2)
    parked = parking_place(study.locations.storage, study.record)
    parked.mkdir(parents=True)
    (parked / "trial-3.safetensors").write_bytes(b"0" * 1000)
    report = report_folder(study.locations, study.study.study_name)
    report.mkdir(parents=True)
    (report / "report.html").write_bytes(b"0" * 500)
    return study


def names_below(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_an_overview_says_what_the_storage_has(fake: FakeStudy) -> None:
    found = Overview.of(fake.study, fake.locations)
    assert (found.state, found.n_finished, found.n_trials) == ("stopped", 3, 5)
    assert found.trials == {"complete": 2, "pruned": 1, "waiting": 1}
    assert found.progress == "3 of 5 trials finished (2 complete, 1 pruned, 1 waiting)"
    best = max((t for t in fake.study.trials if t.values), key=lambda t: t.values[0])
    assert (found.best_trial, found.best) == (best.number, best.value)
    assert found.last is not None
    ends = [t.datetime_complete for t in fake.study.trials if t.datetime_complete]
    assert found.last.timestamp() >= max(end.timestamp() for end in ends) - 1
    assert found.size > 1500
    assert found.launcher == ""


@pytest.mark.parametrize("looks", [0, 1])
def test_a_file_that_goes_while_its_size_is_asked_for_is_no_error(
    fake: FakeStudy, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """The launcher removes the snapshots of trials that end, here after so many looks at one."""
    stat, before, seen = Path.stat, Overview.of(fake.study, fake.locations).size, [0]

    def gone(path: Path, **options: bool) -> os.stat_result:
        if path.name == "trial-3.safetensors":
            seen[0] += 1
            if seen[0] > looks:
                path.unlink(missing_ok=True)
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", gone)
    assert Overview.of(fake.study, fake.locations).size == before - (0 if looks else 1000)


def test_a_study_with_all_its_trials_is_complete_and_an_empty_one_has_nothing(
    tmp_path: Path,
) -> None:
    study = FakeStudy(locations(tmp_path), n_trials=1)
    empty = Overview.of(study.study, study.locations)
    assert (empty.state, empty.best, empty.last, empty.size) == ("stopped", None, None, 0)
    study.run(TrialState.COMPLETE)
    assert Overview.of(study.study, study.locations).state == "complete"


def test_a_launcher_makes_it_running(fake: FakeStudy) -> None:
    me = sign_on(fake.study)
    with exclusive(fake.locations.storage, fake.study.study_name):
        found = Overview.of(fake.study, fake.locations)
    assert (found.state, found.launcher) == ("running", f"process {me.pid} on {me.host}")
    assert Overview.of(fake.study, fake.locations).state == "stopped"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_000_000, "2.0 MB"), (3e15, "3000.0 TB")],
)
def test_sizes_have_units(size: float, text: str) -> None:
    assert size_text(size) == text


def test_the_list_has_a_line_for_each_study_newest_first(
    fake: FakeStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeStudy(fake.locations, n_trials=50, name="later")
    assert list_studies.main(["--storage", fake.locations.storage]) == 0
    heading, later, first, total = capsys.readouterr().out.splitlines()
    assert " ".join(heading.split()) == "study state finished best of last activity files"
    assert later.split()[:5] == ["later", "stopped", "0/50", "-", "recall_at_10"]
    assert first.split()[:3] == ["fake-demo", "stopped", "3/5"]
    assert total == f"2 studies in {fake.locations.storage}"
    assert list_studies.main(["--storage", fake.locations.storage, "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["name"] for one in found] == ["later", "fake-demo"]
    assert found[1]["trials"] == {"complete": 2, "pruned": 1, "waiting": 1}


def test_there_must_be_a_storage(tmp_path: Path) -> None:
    place = locations(tmp_path).storage
    for command in (list_studies, status, stop, delete):
        with pytest.raises(StudyError, match="no study storage there"):
            command.main(["--storage", place])
    assert list(tmp_path.iterdir()) == []


def test_the_status_shows_running_and_best_trials(
    fake: FakeStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.start()  # the parked trial runs again
    assert status.main(["--storage", fake.locations.storage]) == 0
    out = capsys.readouterr().out
    assert out.startswith("study fake-demo: stopped; 3 of 5 trials finished (2 complete, ")
    assert "\n  trial 3: epoch 2, best 0.0030, dim=" in out
    assert "recall_at_10 on validation" in out
    assert "popularity" in out


def test_watching_ends_when_the_study_is_complete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = FakeStudy(locations(tmp_path), n_trials=2)
    study.run(TrialState.COMPLETE)

    def meanwhile(_: float) -> None:
        study.run(TrialState.PRUNED)

    monkeypatch.setattr(status.time, "sleep", meanwhile)
    assert status.main(["--storage", study.locations.storage, "--watch", "--json"]) == 0
    seen = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["state"], one["n_finished"]) for one in seen] == [("stopped", 1), ("complete", 2)]


def test_ctrl_c_is_the_intended_end_of_watching(
    fake: FakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", interrupt)
    assert status.main(["--storage", fake.locations.storage, "--watch"]) == 0


def test_stop_waits_until_the_launcher_has_let_go(
    fake: FakeStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    signed = threading.Event()

    def launch() -> None:
        own = FakeStudy(fake.locations, n_trials=5)
        with exclusive(fake.locations.storage, own.study.study_name):
            ledger = Ledger(own.study, own.record.config)
            ledger.sign_on()
            signed.set()
            while not ledger.is_asked_to_stop():
                signed.wait(0.05)

    launcher = threading.Thread(target=launch)
    launcher.start()
    assert signed.wait(60)
    assert stop.main(["--storage", fake.locations.storage]) == 0
    assert is_owned(fake.locations.storage, fake.study.study_name) is False
    launcher.join()
    asked, done = capsys.readouterr().out.splitlines()
    assert asked.endswith(" to park study fake-demo")
    assert done == "study fake-demo has stopped; the command that started it goes on with it"
    assert stop.main(["--storage", fake.locations.storage]) == 0
    assert capsys.readouterr().out == "study fake-demo is not running\n"


def test_stop_tells_a_later_launcher_from_the_one_it_asked(
    fake: FakeStudy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop.time, "sleep", lambda _: sign_on(fake.study))
    with exclusive(fake.locations.storage, fake.study.study_name):
        with pytest.raises(StudyError, match="has not said who it is"):
            stop.main(["--storage", fake.locations.storage])
        sign_on(fake.study)
        assert stop.main(["--storage", fake.locations.storage]) == 1
        assert "another launcher runs study fake-demo now" in capsys.readouterr().out
        assert stop.main(["--storage", fake.locations.storage, "--no-wait"]) == 0


def test_delete_removes_the_study_and_its_files_and_no_others(
    fake: FakeStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = FakeStudy(fake.locations, name="other")
    other.run(TrialState.COMPLETE)
    other.keep(0, "of the other")
    before = names_below(tmp_path)
    words = ["--storage", fake.locations.storage, "--study-name", "fake-demo", "--yes"]
    assert delete.main(words) == 0
    assert "study fake-demo is deleted; its runs in MLflow" in capsys.readouterr().out
    assert optuna.get_all_study_names(fake.storage) == ["other"]
    gone = {name for name in before - names_below(tmp_path) if not name.startswith("optuna.db")}
    assert {"trial-3.safetensors", "report.html"} < gone
    kept = gone - {"trial-3.safetensors", "report.html"}
    assert kept
    assert all(name.startswith(fake.record.uid) for name in kept)
    assert Overview.of(other.study, other.locations).size > 0
    with pytest.raises(StudyError, match="no study 'fake-demo' here; there are: other"):
        delete.main(words)


def test_delete_leaves_a_study_that_a_launcher_owns(fake: FakeStudy, tmp_path: Path) -> None:
    before = names_below(tmp_path)
    with ExitStack() as stack:
        stack.enter_context(exclusive(fake.locations.storage, "fake-demo"))
        with pytest.raises(StudyError, match=r"is not deleted; stop it first: .* --study-name"):
            delete.main(["--storage", fake.locations.storage, "--yes"])
    assert before <= names_below(tmp_path)
    assert len(fake.study.trials) == 4


@pytest.mark.parametrize(("answer", "code"), [("fake-demo\n", 0), ("yes\n", 1), ("\n", 1), ("", 1)])
def test_delete_asks_for_the_name(
    fake: FakeStudy, answer: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert delete.main(["--storage", fake.locations.storage]) == code
    assert optuna.get_all_study_names(fake.storage) == (["fake-demo"] if code else [])


def test_delete_wants_yes_where_nobody_can_be_asked(
    fake: FakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("fake-demo\n"))
    with pytest.raises(SettingsError, match="give --yes to do so without a question"):
        delete.main(["--storage", fake.locations.storage])
    assert len(fake.study.trials) == 4

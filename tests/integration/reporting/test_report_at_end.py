"""The report that the end of a study writes."""

from __future__ import annotations

import dataclasses
import re
import sys

import pytest

from hpo.config.next_commands import command
from hpo.reporting import is_reported
from hpo.reporting.delivery import report_at_end
from hpo.reporting.folders import report_folder
from hpo.reporting.report import FILES, find_out, report_files
from hpo.reporting.sections import Findings
from hpo.study import store_infeasible
from hpo.study.data import load_split
from hpo.study.records import STUDY, StudyRecord
from hpo.study.trial_rows import read_trials
from recsys.data.splitting import Split
from tests.support.real_study import RealStudy


@pytest.fixture(scope="module")
def whole(findings: Findings) -> Split:
    return load_split(findings.record, None)


def test_the_end_of_a_study_writes_its_report(
    real: RealStudy, whole: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.reporting.report.load_split", None)  # the data is there already
    folder = report_folder(real.locations, "shop")
    best = real.train("shop", 0).best_trial.number
    text, code = report_at_end(real.locations, "shop", whole, log=False)
    said, news, *conclusion = text.splitlines()
    assert code == 0
    assert re.fullmatch(rf"report: {re.escape(str(folder / 'report.html'))} \(\d+\.\d s\)", said)
    assert news == f"stored with the study: this report and the model of trial {best}"
    assert conclusion[0].startswith(f"recall_at_10 on validation: trial {best} ")
    assert ", item-kNN 1.0000, popularity 0.0000" in conclusion[0]
    assert conclusion[1:]
    assert {path.name for path in folder.iterdir()} == set(FILES)
    study = real.train("shop", 0)
    assert is_reported(real.locations, study)
    record = StudyRecord.of(study)
    trials = [trial for trial in read_trials(study) if trial.state != "FAIL"]
    early = find_out(real.locations, "shop", whole=whole)
    early_files = report_files(dataclasses.replace(early, trials=trials))
    text = (folder / "report.html").read_bytes()
    (folder / "report.html").write_bytes(early_files["report.html"])
    assert not is_reported(real.locations, study), "it was made before the last trial had ended"
    (folder / "report.html").write_bytes(text)
    store_infeasible(study, record, (best,))  # as a limit that is set later does
    assert not is_reported(real.locations, study), "it names a trial that cannot win"
    study.set_user_attr(STUDY, record.to_json())
    page = folder / "report.html"
    page.write_text(page.read_text().partition("<!-- edition")[0])  # as older versions did
    assert is_reported(real.locations, study)


def test_a_report_that_fails_costs_the_study_nothing(
    real: RealStudy, whole: Split, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said, _ = report_at_end(real.locations, "shop", whole, log=True)
    assert said.startswith("no report: ModuleNotFoundError: ")
    assert "matplotlib" in said
    assert "Traceback" in caplog.text
    monkeypatch.setattr("hpo.reporting.folders.REPORTS", "shop.csv")  # a file
    said, _ = report_at_end(real.locations, "shop", whole, log=True)
    assert said.startswith("no report: the report cannot be written to")


def test_a_report_that_would_train_for_long_is_left_to_its_command(
    real: RealStudy, whole: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = read_trials(real.train("shop", 0))
    monkeypatch.setattr("hpo.reporting.delivery.SMALL_SECONDS", 0.0)
    monkeypatch.setattr("hpo.reporting.delivery.SMALL_SHARE", 0.0)
    said, _ = report_at_end(real.locations, "shop", whole, log=False, data="moved.csv")
    later = re.escape(command("report", "shop", real.locations, data="moved.csv"))
    wanted = rf"no report yet: it would train for about \d+ s; write it with: {later}"
    assert re.fullmatch(wanted, said)
    # three trainings are fewer than eleven
    monkeypatch.setattr("hpo.reporting.delivery.SMALL_SHARE", 2.0)
    assert sum(trial.seconds for trial in trials) > 0
    said, _ = report_at_end(real.locations, "shop", whole, log=False)
    assert said.startswith("report: ")

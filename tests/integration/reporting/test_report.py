"""The report of real studies: its figures are the storage's, and it needs nothing but itself."""

from __future__ import annotations

import base64
import dataclasses
import errno
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from statistics import median

import numpy as np
import optuna
import polars as pl
import pytest
import torch

from hpo.config.locations import Locations
from hpo.config.next_commands import command
from hpo.errors import StudyError
from hpo.execution import summary
from hpo.execution.ledger import Ledger
from hpo.execution.running_trial import RunEnd
from hpo.report import main
from hpo.reporting import is_reported, report as report_module
from hpo.reporting.delivery import report_at_end
from hpo.reporting.document import with_bounds
from hpo.reporting.figures.search import durations, history, learning_curves
from hpo.reporting.folders import folder_name, report_folder
from hpo.reporting.model_comparison import BEST, DEFAULT
from hpo.reporting.report import (
    FILES,
    PICTURES,
    find_out,
    report_files,
    write_report,
)
from hpo.reporting.sections import Findings
from hpo.study import store_infeasible
from hpo.study.data import load_split
from hpo.study.files.artifacts import artifact_folder, stored_artifacts
from hpo.study.locks import exclusive
from hpo.study.records import STUDY, Outcome, StudyRecord
from hpo.study.trial_rows import best_so_far, read_trials
from hpo.tracking.background import bring_into_mlflow
from hpo.tracking.mirror import Mirror
from recsys import evaluate
from recsys.artifacts.checkpoint import load
from recsys.artifacts.mlflow_client import experiment_id, open_client
from recsys.data.interactions import Interactions
from recsys.data.splitting import TEST, Split
from recsys.errors import DivergedError
from recsys.evaluation.bootstrap import mean_interval
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from recsys.training.fit import Fit
from tests.support.mlflow_server import by_trial, stored_runs
from tests.support.real_study import BASE, RealStudy
from tests.support.scripted import ScriptedRunner, make_ledger, study_config

SECTIONS = (
    "best", "next", "history", "curves", "importances", "parallel", "slices", "models", "lists",
    "segments", "later", "time", "trials", "about",
)  # fmt: skip

MODEL = {
    "model_meta.json", "weights.safetensors", "history.safetensors",
    "user_vecs.npy", "item_vecs.npy", "item_bias.npy",
}  # fmt: skip


class Page(HTMLParser):
    """Tables, ids, images and every address of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.alts: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.addresses += [given[name] or "" for name in ("src", "href", "data") if name in given]
        self.alts += [given["alt"] or ""] if "alt" in given else []
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.in_cell = False

    def handle_data(self, data: str) -> None:
        if self.in_cell:
            self.tables[-1][-1][-1] += data.strip()

    def rows(self, name: str) -> list[list[str]]:
        """All rows that begin so, in the order of the page, without the name."""
        return [row[1:] for table in self.tables for row in table if row and row[0] == name]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> RealStudy:
    """Eleven complete trials, one pruned, one failed."""
    real = RealStudy(tmp_path_factory.mktemp("report"))
    real.base = {**BASE, "neighbour_weight": 0.0}  # neighbours alone make no mistakes here
    study = real.train("shop", 11)
    config = StudyRecord.of(study).config
    ledger, runner = Ledger(study, config), ScriptedRunner(lambda _: [0.1, 0.3, 0.2])
    for ending in ("prune", "fail"):
        assignment = ledger.start("inline", 1)
        for result in runner.epochs(assignment.config):
            ledger.report(assignment, result)
        if ending == "fail":
            ledger.fail(assignment, assignment.outcome("error", "loss is <nan>"))
        else:
            ledger.prune(assignment)
    return real


@pytest.fixture(scope="module")
def findings(real: RealStudy) -> Findings:
    """Made while nobody can read the test rows."""

    def guard(split: Split) -> Interactions:
        assert split.method == "global-time", "the report reads test data"  # of tuning rows alone
        return split.interactions.take(split.parts == TEST)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Split, "test", property(guard))
        return find_out(real.locations, "shop")


@pytest.fixture(scope="module")
def files(findings: Findings) -> dict[str, bytes]:
    return report_files(findings)


@pytest.fixture(scope="module")
def page(files: dict[str, bytes]) -> Page:
    return Page(files["report.html"].decode())


def test_needs_no_network_and_has_every_section(files: dict[str, bytes], page: Page) -> None:
    text = files["report.html"].decode()
    assert tuple(key for key in page.ids if key in SECTIONS) == SECTIONS
    assert not {"script", "link", "iframe", "object", "embed"} & page.tags
    assert "@import" not in text and "url(" not in text
    inner = {f"#{key}" for key in SECTIONS}
    assert inner >= {address for address in page.addresses if not address.startswith("data:image")}
    assert not re.search(r"https?:", text)
    images = [address.partition(",")[2] for address in page.addresses if address[:5] == "data:"]
    assert {base64.b64decode(image) for image in images} == {files[f"{n}.png"] for n in PICTURES}
    assert all(page.alts) and len(page.alts) == len(PICTURES)
    assert set(files) == set(FILES)


def test_the_first_screen_is_what_the_storage_says(
    real: RealStudy, findings: Findings, page: Page, files: dict[str, bytes]
) -> None:
    study, text = real.train("shop", 0), files["report.html"].decode()
    best, default = study.best_trial, study.trials[0]
    assert best.number != 0, "the fixture needs a gain"
    assert f"Best: trial {best.number}<" in text
    assert f'<div class="value">{best.value:.4f}</div>' in text
    assert page.rows("lr")[0] == [f"{best.params['lr']:.4g}", f"{default.params['lr']:.4g}"]
    epochs = [str(Outcome(**t.user_attrs["hpo:outcome"]).best_epoch) for t in (best, default)]
    assert page.rows("best epoch")[0] == epochs

    theirs, gain, _ = page.rows(DEFAULT)[0]
    assert float(theirs) == pytest.approx(default.value, abs=5e-5)
    assert float(gain.split()[0]) == pytest.approx(best.value - default.value, abs=1e-4)
    popularity = StudyRecord.of(study).baselines["popularity"]["recall_at_10"]
    assert float(page.rows("popularity")[0][0]) == pytest.approx(popularity, abs=5e-5)
    for name in ("EASE", "RP3beta", "item-kNN"):
        assert page.rows(name)
    assert "Trained again with their stored seeds, which gave exactly the stored values." in text


def test_the_models_are_those_that_the_study_trained(
    real: RealStudy, findings: Findings, page: Page
) -> None:
    """Trained here by the trainer's own loop, user by user."""
    from hpo.config.search_space import SearchSpace

    study = real.train("shop", 0)
    best = study.best_trial
    split = load_split(findings.record, None)
    seed = best.user_attrs["hpo:attempt"]["seed"]
    config = SearchSpace(findings.record.config).config(best.params, seed)
    fit = Fit(split.tuning, config, torch.device("cpu"))
    results = list(fit)
    assert max(result.metrics.recall_at_10 for result in results) == best.value
    winner, default = findings.compared.found[:2]
    assert winner.is_as_stored and default.is_as_stored
    assert winner.users.mean().as_dict() == fit.best.metrics.as_dict() if fit.best else False

    difference = winner.users.values["recall_at_10"] - default.users.values["recall_at_10"]
    assert page.rows(DEFAULT)[0][1] == with_bounds(mean_interval(difference), "+")
    for group, cells in zip(
        findings.compared.evaluator.user_groups, page.tables[4][1:], strict=False
    ):
        values = winner.users.values["recall_at_10"][group.members]
        assert float(cells[1]) == pytest.approx(float(values.mean()), abs=5e-5)


def test_both_splits_of_the_winner_stand_side_by_side(findings: Findings, page: Page) -> None:
    assert findings.later is not None
    (table,) = [table for table in page.tables if "the study's split" in table[0]]
    names = [BEST, "EASE", "RP3beta", "item-kNN", "popularity"]
    for name, cells in zip(names, table[1:], strict=True):
        (usual,) = [c.value for c in findings.compared.found if c.name == name]
        (later,) = [c.value for c in findings.later.found if c.name == name]
        assert cells[:3] == [name, with_bounds(usual), with_bounds(later)]


def test_the_search_is_what_the_storage_says(real: RealStudy, page: Page) -> None:
    study = real.train("shop", 0)
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    ranked = sorted(complete, key=lambda trial: (-trial.value, trial.number))
    for place, trial in enumerate(ranked[:10]):
        mark = " (default)" if trial.number == 0 else ""
        (cells,) = page.rows(f"trial {trial.number}{mark}")
        outcome = Outcome(**trial.user_attrs["hpo:outcome"])
        assert cells == [
            f"{trial.value:.4f}", f"{trial.params['lr']:.4g}", f"{trial.params['epochs']:.4g}",
            f"{outcome.best_epoch}", f"{outcome.seconds:.1f}",
        ], place  # fmt: skip
    (row,) = page.rows("complete")
    outcomes = [Outcome(**trial.user_attrs["hpo:outcome"]) for trial in complete]
    seconds = [outcome.seconds for outcome in outcomes]
    asked = [outcome.usage["evaluation_seconds"] for outcome in outcomes]
    assert all(0 < part < whole for part, whole in zip(asked, seconds, strict=True))
    whole = [(t.datetime_complete - t.datetime_start).total_seconds() for t in complete]
    assert row[0] == "11"
    assert row[1] == str(sum(len(trial.intermediate_values) for trial in complete))
    assert float(row[2]) == pytest.approx(sum(seconds) - sum(asked), abs=0.051)
    assert float(row[3]) == pytest.approx(sum(asked), abs=0.051)
    assert float(row[4]) == pytest.approx(sum(whole) - sum(seconds), abs=0.051)
    assert float(row[5]) == pytest.approx(median(whole), abs=0.051)
    assert page.rows("pruned")[0][0] == page.rows("failed (error)")[0][0] == "1"


def test_pictures_draw_what_the_storage_says(real: RealStudy) -> None:
    trials = read_trials(real.train("shop", 0))
    drawn = history(trials, {"popularity": 0.1}, "recall_at_10").axes[0]
    pruned, complete, failed = (collection.get_offsets() for collection in drawn.collections)
    assert np.allclose(complete, [(t.number, t.value) for t in trials if t.state == "COMPLETE"])
    assert np.allclose(pruned, [(11, 0.3)])
    assert np.allclose(failed[:, 0], [12])
    assert np.allclose(drawn.lines[0].get_ydata(), best_so_far(trials))
    assert np.allclose(drawn.lines[1].get_ydata(), 0.1)

    curves = {
        tuple(line.get_ydata()) for line in learning_curves(trials, "recall_at_10").axes[0].lines
    }
    assert curves == {tuple(trial.curve.values()) for trial in trials}

    bars = {patch.get_x() + 0.4: 0.0 for patch in durations(trials).axes[0].patches}
    for patch in durations(trials).axes[0].patches:
        bars[patch.get_x() + 0.4] += patch.get_height()
    assert bars == pytest.approx({t.number: t.seconds + t.other_seconds for t in trials})


def test_a_model_that_comes_out_differently_is_said(findings: Findings) -> None:
    compared = findings.compared
    odd = dataclasses.replace(compared.winner, stored=0.123)
    compared = dataclasses.replace(compared, found=[odd, *compared.found[1:]])
    text = report_files(dataclasses.replace(findings, compared=compared))["summary.md"].decode()
    assert f"best trial {odd.value.mean:.6f}, not 0.123000" in text
    assert "exactly the stored values" not in text


def kept_names(study: optuna.Study) -> dict[int | None, set[str]]:
    kept = stored_artifacts(study, StudyRecord.of(study).uid)
    return {number: {file.name for file in files} for number, files in kept.items()}


def test_report_and_best_model_are_kept_and_come_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = RealStudy(tmp_path)
    study = real.train("kept", 3)
    best = study.best_trial
    call = ["--storage", real.locations.storage, "--tracking-uri", real.locations.tracking_uri]
    Mirror(real.locations, "kept").sync()
    assert main(call) == 0
    runs = by_trial(real.locations.tracking_uri)
    _, kept, where, *_ = capsys.readouterr().out.splitlines()
    assert kept == f"stored with the study: this report and the model of trial {best.number}"
    assert where == f"in MLflow: folder report of run {runs[None].run_id}"
    assert set(runs[None].files) <= {f"report/{name}" for name in FILES}
    assert {"report/report.html", "report/summary.md"} <= set(runs[None].files)
    assert kept_names(study)[best.number] == MODEL == set(runs[best.number].files)

    client, mirror = open_client(real.locations.tracking_uri), Mirror(real.locations, "kept")
    experiment = experiment_id(client, "two-tower-hpo")
    client.delete_experiment(experiment)
    assert mirror.sync().uploaded == 0  # out of the trash, with all its files
    client.rename_experiment(experiment, "gone")
    assert mirror.sync().uploaded == len(runs[None].files) + len(MODEL)
    assert mirror.check() == []
    again = by_trial(real.locations.tracking_uri)
    assert again[None].run_id != runs[None].run_id
    assert {key: run.files for key, run in again.items()} == {k: r.files for k, r in runs.items()}


def test_the_kept_model_has_the_value_of_its_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Out of MLflow, as anybody would fetch it: by its weights, and by its vectors alone."""
    real = RealStudy(tmp_path)
    real.base = {**BASE, "neighbour_weight": 0.0}  # score = vectors and bias, nothing else
    study = real.train("kept", 3)
    best = study.best_trial
    write_report(real.locations, "kept", tmp_path / "out")
    Mirror(real.locations, "kept").sync()
    run = by_trial(real.locations.tracking_uri)[best.number]
    folder = tmp_path / "fetched"
    folder.mkdir()
    for name, content in run.files.items():
        (folder / name).write_bytes(content)

    stored = load(folder)
    assert stored.meta["trial"] == best.number
    assert stored.meta["validation"]["recall_at_10"] == best.value
    parts = load_split(StudyRecord.of(study), None)
    evaluator = Evaluator(parts.tuning, torch.device("cpu"))
    measured = evaluator.evaluate(TowerScorer(stored.model, stored.history)).mean()
    assert measured.recall_at_10 == best.value

    users, items, bias = (
        torch.from_numpy(np.load(folder / f"{name}.npy"))
        for name in ("user_vecs", "item_vecs", "item_bias")
    )

    class Vectors:
        def scores(self, asked: torch.Tensor) -> torch.Tensor:
            return users[asked] @ items.T + bias

    assert evaluator.evaluate(Vectors()).mean().recall_at_10 == best.value
    capsys.readouterr()
    assert evaluate.main(["--artifacts", str(folder), "--data", str(real.data)]) == 0
    assert f"recall_at_10   {best.value:.6f}" in capsys.readouterr().out


def test_a_better_trial_takes_the_place_of_the_kept_one(tmp_path: Path) -> None:
    real = RealStudy(tmp_path)
    real.base = {**BASE, "lr": 0.01, "epochs": 1}
    study = real.train("kept", 1)
    write_report(real.locations, "kept", tmp_path / "out")
    assert set(kept_names(study)) == {None, 0}
    better = real.train("kept", 8).best_trial
    assert better.number != 0, "the test needs a better trial"
    write_report(real.locations, "kept", tmp_path / "out")
    assert set(kept_names(study)) == {None, better.number}
    runs = report_and_sync(real)
    assert runs[better.number] == MODEL
    assert runs[0] == set()


def report_and_sync(real: RealStudy) -> dict[int | None, set[str]]:
    Mirror(real.locations, None).sync()
    return {key: set(run.files) for key, run in by_trial(real.locations.tracking_uri).items()}


def test_a_model_that_came_out_differently_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RealStudy(tmp_path)
    study = real.train("kept", 2)
    monkeypatch.setattr("hpo.reporting.model_comparison.EXACT", -1.0)  # nothing counts as the same
    said = write_report(real.locations, "kept", tmp_path / "out")
    assert said.is_kept
    number = study.best_trial.number
    lacking = (
        rf"the model of trial {number} is not stored with the study: trained again it has "
        r"recall_at_10 \d\.\d+"
    )
    assert re.match(lacking, said.news)
    assert set(kept_names(study)) == {None}


def test_a_report_that_cannot_be_kept_is_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = RealStudy(tmp_path)
    real.train("kept", 1)
    artifact_folder(real.locations.storage).write_text("a file")
    assert main(["--storage", real.locations.storage, "--out", str(tmp_path / "out")]) == 0
    report, news, *_ = capsys.readouterr().out.splitlines()
    assert report == f"report of study kept: {tmp_path / 'out' / 'report.html'}"
    assert news.startswith("the report is not stored with the study: artifacts cannot be kept in ")


def test_a_report_makes_no_store_and_no_run(tmp_path: Path) -> None:
    real = RealStudy(tmp_path)
    real.train("kept", 1)
    lacking = "not in MLflow: the study has no run there; make one with: "
    sync = command("sync", "kept", real.locations)
    assert bring_into_mlflow(real.locations, "kept") == (lacking + sync, True)
    assert stored_runs(real.locations.tracking_uri) == []
    elsewhere = Locations(real.locations.storage, f"sqlite:///{(tmp_path / 'none.db').as_posix()}")
    assert bring_into_mlflow(elsewhere, "kept").line == lacking + command("sync", "kept", elsewhere)
    assert not (tmp_path / "none.db").exists()
    gone = bring_into_mlflow(Locations(real.locations.storage, "http://127.0.0.1:9"), "kept")
    assert gone.line.startswith("not in MLflow: MLflow at http://127.0.0.1:9: ")
    assert not gone.is_complete


def test_a_report_that_mlflow_lacks_is_no_success(tmp_path: Path) -> None:
    real = RealStudy(tmp_path)
    real.train("kept", 1)
    where = ["--storage", real.locations.storage, "--tracking-uri", "http://127.0.0.1:9"]
    assert main([*where, "--out", str(tmp_path / "out")]) == 3
    assert (tmp_path / "out" / "report.html").exists()


def test_a_sync_that_takes_long_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RealStudy(tmp_path)
    study = real.train("kept", 1)
    Mirror(real.locations, "kept").sync()
    monkeypatch.setattr("hpo.tracking.background.PATIENCE_SECONDS", 0.0)
    with exclusive(real.locations.storage, study.study_name, role="sync"):
        said = bring_into_mlflow(real.locations, "kept")
    assert not said.is_complete
    sync = command("sync", "kept", real.locations)
    wanted = f"not in MLflow: the last sync did not end in time; bring it there with: {sync}"
    assert said.line == wanted


def test_one_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real, out = RealStudy(tmp_path), tmp_path / "out"
    real.train("../one", 1)
    out.mkdir()
    (out / "importances.png").write_bytes(b"of an earlier study")
    (out / "mine.txt").write_text("stays")
    locations = ["--storage", real.locations.storage, "--tracking-uri", real.locations.tracking_uri]
    assert main([*locations, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert f"report of study ../one: {out / 'report.html'}" in printed
    assert "not in MLflow: the study has no run there" in printed
    found = {path.name for path in out.iterdir()}
    assert found == {*FILES, "mine.txt"} - {"importances.png"}
    text = (out / "report.html").read_text()
    assert "No trial did better than the default configuration." in text
    assert "1 complete trial says too little" in text
    assert {path.name for path in tmp_path.iterdir()} >= {"out"}
    assert not list(tmp_path.glob(".report-*"))


def test_a_folder_that_is_a_mount_point_is_written(
    real: RealStudy, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with --out /reports in a container: nothing can be moved there from the folder above."""
    out, replace = tmp_path / "reports", Path.replace

    def within(path: Path, target: Path) -> Path:
        if (out in path.parents) != (out in Path(target).parents):
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(path))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", within)
    report_module._write(out, files)
    assert {path.name for path in out.iterdir()} == set(FILES)


def test_a_training_without_the_future_that_fails_costs_its_section_only(
    real: RealStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: object) -> None:
        raise DivergedError(1, 1, float("nan"))

    monkeypatch.setattr(report_module, "compare_elsewhere", diverge)
    text = report_files(find_out(real.locations, "shop"))["summary.md"].decode()
    (section,) = [part for part in text.split("## ") if part.startswith("Without other users")]
    assert "Not measured: " in section
    assert str(DivergedError(1, 1, float("nan"))) in section
    assert "|" not in section


def test_trials_beyond_a_size_that_was_set_later_are_told(real: RealStudy) -> None:
    """Their metrics break no limit, so the reason is the size alone."""
    study = real.train("shop", 0)
    record = StudyRecord.of(study)
    out = tuple(trial.number for trial in study.trials if trial.state.name == "COMPLETE")
    try:
        store_infeasible(study, record, out)
        with pytest.raises(StudyError, match=r"within its \[constraints\] \(trial 0: model_mb\)"):
            find_out(real.locations, "shop")
        text = summary.ending(study, RunEnd("complete", 12), 12, real.locations, None)
        assert "11 complete, but cannot win, for instance trial 10: model_mb\n" in text
    finally:
        study.set_user_attr(STUDY, record.to_json())


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


def test_nothing_complete(tmp_path: Path) -> None:
    ledger = make_ledger(tmp_path, study_config())
    storage = f"sqlite:///{(tmp_path / 'optuna.db').as_posix()}"
    assignment = ledger.start("inline", 1)
    ledger.fail(assignment, assignment.outcome("diverged", "loss is nan"))
    with pytest.raises(StudyError, match="no complete trial yet") as caught:
        main(["--storage", storage, "--out", str(tmp_path / "out")])
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()
    assert main(["--storage", storage, "--csv", str(tmp_path / "all.csv")]) == 0
    assert pl.read_csv(tmp_path / "all.csv").row(0, named=True)["cause"] == "diverged"


def test_export_round_trip(
    real: RealStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = real.train("shop", 0)
    csv, parquet = tmp_path / "deep" / "trials.csv", tmp_path / "trials.parquet"
    code = main(["--storage", real.locations.storage, "--csv", str(csv), "--parquet", str(parquet)])
    assert code == 0
    assert capsys.readouterr().out.count("13 trials of study shop") == 2
    frame = pl.read_parquet(parquet)
    assert frame.equals(pl.read_csv(csv, schema_overrides=frame.schema))
    assert frame.columns == [
        "number", "state", "value", "lr", "epochs", "best_epoch", "seconds", "cause", "attempt",
        "origin", "seed", "started", "ended",
    ]  # fmt: skip
    for row, trial in zip(frame.iter_rows(named=True), study.trials, strict=True):
        outcome, attempt = (trial.user_attrs[f"hpo:{name}"] for name in ("outcome", "attempt"))
        assert {name: row[name] for name in trial.params} == trial.params
        assert row["state"] == trial.state.name
        assert row["value"] == {"COMPLETE": trial.value, "PRUNED": 0.3, "FAIL": None}[row["state"]]
        assert (row["best_epoch"], row["seconds"]) == (outcome["best_epoch"], outcome["seconds"])
        assert (row["attempt"], row["seed"]) == (attempt["number"], attempt["seed"])
        assert (row["started"], row["ended"]) == (trial.datetime_start, trial.datetime_complete)


@pytest.mark.parametrize(
    ("study", "folder"),
    [
        ("two_tower-ml-100k", "two_tower-ml-100k"),
        ("../a b", "___a_b-2c2c791a"),
        ("v1.0", "v1_0-fa8b919c"),
        ("v1_0", "v1_0"),
        ("CON", "CON-a3dbc4b6"),
        ("lpt1", "lpt1-cfbdeb88"),
        ("console", "console"),
    ],
)
def test_a_study_has_one_folder(study: str, folder: str) -> None:
    assert folder_name(study) == folder


def test_an_old_report_under_a_reserved_name_is_found(tmp_path: Path) -> None:
    locations = Locations(f"sqlite:///{tmp_path.as_posix()}/optuna.db")
    assert report_folder(locations, "Aux") == tmp_path / "reports" / folder_name("Aux")
    (tmp_path / "reports" / "Aux").mkdir(parents=True)
    assert report_folder(locations, "Aux") == tmp_path / "reports" / "Aux"


def test_a_folder_that_cannot_be_written(real: RealStudy, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="cannot be written"):
        main(["--storage", real.locations.storage, "--csv", str(tmp_path / "file" / "all.csv")])
    with pytest.raises(StudyError, match="cannot be written"):
        write_report(real.locations, "shop", tmp_path / "file" / "out")

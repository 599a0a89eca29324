"""The page of a report: its figures are the storage's, and it needs nothing but itself."""

from __future__ import annotations

import base64
import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl
import pytest
import torch

from hpo.errors import StudyError
from hpo.execution import summary
from hpo.execution.running_trial import RunEnd
from hpo.report import main
from hpo.reporting import report as report_module
from hpo.reporting.document import with_bounds
from hpo.reporting.figures.search import durations, history, learning_curves
from hpo.reporting.model_comparison import BEST, DEFAULT
from hpo.reporting.report import (
    FILES,
    PICTURES,
    find_out,
    report_files,
)
from hpo.reporting.sections import Findings
from hpo.study import store_infeasible
from hpo.study.data import load_split
from hpo.study.records import STUDY, Outcome, StudyRecord
from hpo.study.trial_rows import best_so_far, read_trials
from recsys.errors import DivergedError
from recsys.evaluation.bootstrap import mean_interval
from recsys.training.fit import Fit
from tests.support.real_study import RealStudy
from tests.support.scripted import make_ledger, study_config

SECTIONS = (
    "best", "next", "history", "curves", "importances", "parallel", "slices", "models", "lists",
    "segments", "later", "time", "trials", "about",
)  # fmt: skip


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

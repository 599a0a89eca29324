"""What a person sees of a finished study in optuna-dashboard, in MLflow and in the report."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.e2e.browser.conftest import N_TRIALS, Watched

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Keep = Callable[["Page", str], None]


def open_runs(page: Page, watched: Watched) -> None:
    """The table of runs, with the study's own run unfolded."""
    page.goto(f"{watched.mlflow}/#/experiments/1/runs")
    row(page, "demo").get_by_role("button").first.click()
    page.get_by_role("link", name=f"trial-{N_TRIALS - 1:03}").wait_for()
    close = page.get_by_role("button", name="Close")
    if close.count():
        close.click()  # MLflow's assistant, which hides half of the table


def row(page: Page, run: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=run, exact=True))


def test_optuna_dashboard_shows_the_study_and_its_history(
    page: Page, watched: Watched, picture: Keep
) -> None:
    page.goto(watched.dashboard)
    page.get_by_role("link", name=re.compile("demo")).first.click()
    page.wait_for_url("**/dashboard/studies/1")
    page.get_by_text("Best Trial (number=").wait_for()
    plot = page.locator("#graph-history, .js-plotly-plot").first
    plot.locator("path.point").first.wait_for()
    assert plot.locator("path.point").count() >= N_TRIALS
    assert "recall_at_10" in plot.inner_text()
    picture(page, "optuna-dashboard")


def test_a_trial_leads_to_its_run_in_mlflow(page: Page, watched: Watched, picture: Keep) -> None:
    page.goto(f"{watched.dashboard}/dashboard/studies/1/trials?numbers=0")
    link = page.get_by_role("link", name="See it in MLflow")
    link.wait_for()
    run = f"{watched.mlflow}/#/experiments/1/runs/{watched.runs['trial-000']}"
    address = f"{run}?workflowType=machine_learning"
    assert link.get_attribute("href") == address
    page.goto(address)
    page.get_by_role("heading", name="trial-000").wait_for()
    page.get_by_text("best_recall_at_10").first.wait_for()


REFUSED = (
    "rename study", "delete study", "delete artifact",
    "AddBoxIcon", "EditIcon", "StopCircleIcon", "UploadFileIcon",
)  # fmt: skip


@pytest.mark.parametrize("width", [1440, 1024])
def test_a_trial_fits_the_window_and_says_read_only(
    page: Page, watched: Watched, picture: Keep, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 860})
    page.goto(f"{watched.dashboard}/dashboard/studies/1/trials?numbers={watched.best}")
    page.get_by_text("item_vecs.npy", exact=True).first.wait_for()  # the end of the page
    page.get_by_text(re.compile(r"^hpo:epochs .*… \([\d,]+ characters\)$")).wait_for()
    scrolled = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
    assert page.evaluate(scrolled) <= 0
    line = page.get_by_text(re.compile("^read-only"))
    box = line.bounding_box()
    assert box is not None, "not visible"
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    picture(page, f"optuna-dashboard-trial-{width}")


@pytest.mark.parametrize("path", ["", "/studies/1", "/studies/1/trials?numbers=0"])
def test_what_is_refused_is_not_offered(page: Page, watched: Watched, path: str) -> None:
    page.goto(f"{watched.dashboard}/dashboard{path}")
    ends = {"": "1. demo", "/studies/1": "Study Artifacts"}
    page.get_by_text(ends.get(path, "User Attributes")).first.wait_for()
    there = page.locator(",".join(f'[aria-label="{n}"],[data-testid="{n}"]' for n in REFUSED))
    there.first.wait_for(state="attached")  # else they have other names now
    assert there.locator("visible=true").count() == 0


def test_the_note_of_the_study_says_how_far_it_is(page: Page, watched: Watched) -> None:
    page.goto(f"{watched.dashboard}/dashboard/studies/1/note")
    page.get_by_text(re.compile(f"{N_TRIALS} of {N_TRIALS} trials finished, best: ")).wait_for()
    link = page.get_by_role("link", name="See it in MLflow")
    assert str(link.get_attribute("href")).endswith("&compareRunsMode=CHART")
    page.goto(str(link.get_attribute("href")))
    page.get_by_text(re.compile(rf"{N_TRIALS} matching runs")).first.wait_for()


def test_mlflow_shows_the_study_with_its_trials_inside(
    page: Page, watched: Watched, picture: Keep
) -> None:
    open_runs(page, watched)
    assert page.get_by_role("link", name=re.compile(r"^trial-\d+$")).count() == N_TRIALS
    page.get_by_role("button", name=re.compile(r"^demo \([0-9a-f]{16}\)")).wait_for()  # its dataset
    picture(page, "mlflow-runs")


def test_two_trials_compare_in_mlflow(page: Page, watched: Watched, picture: Keep) -> None:
    open_runs(page, watched)
    for run in ("trial-000", "trial-001"):
        row(page, run).locator("input.ag-checkbox-input").first.click()
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Comparing 2 Runs from 1 Experiment").wait_for()
    page.locator(".js-plotly-plot").first.wait_for()
    text = page.inner_text("body")
    for name in ("dim", "lr", "epochs", "batch_size", "recall_at_10", "best_recall_at_10", "mrr"):
        assert re.search(rf"^{name}\b", text, re.MULTILINE), name
    picture(page, "mlflow-compare")
    page.get_by_role("tab", name="Scatter Plot").click()
    page.locator(".plot-container:visible").wait_for()


def test_a_run_leads_back_to_optuna_dashboard(page: Page, watched: Watched) -> None:
    page.goto(f"{watched.mlflow}/#/experiments/1/runs/{watched.runs['trial-003']}")
    link = page.get_by_role("link", name="Trial 3 in optuna-dashboard")
    link.wait_for()
    address = link.get_attribute("href")
    assert address == f"{watched.dashboard}/dashboard/studies/1/trials?numbers=3"
    page.goto(address)
    page.get_by_text("Trial 3 (trial_id=4)").wait_for()


def test_the_report_lies_in_the_run_of_the_study(page: Page, watched: Watched) -> None:
    page.goto(f"{watched.mlflow}/#/experiments/1/runs/{watched.runs['demo']}/artifacts")
    page.get_by_text("report", exact=True).click()
    page.get_by_text("summary.md").wait_for()
    page.get_by_text("report.html").click()
    page.frame_locator("iframe").get_by_role("heading", name="Study demo").wait_for()


def test_optuna_dashboard_shows_what_is_kept(page: Page, watched: Watched) -> None:
    page.goto(f"{watched.dashboard}/dashboard/studies/1")
    page.get_by_role("heading", name="Study Artifacts").wait_for()
    page.get_by_text("report.html", exact=True).first.wait_for()
    page.goto(f"{watched.dashboard}/dashboard/studies/1/trials?numbers={watched.best}")
    for name in ("item_vecs.npy", "model_meta.json", "weights.safetensors"):
        page.get_by_text(name, exact=True).first.wait_for()


def test_the_best_model_lies_in_its_run(page: Page, watched: Watched) -> None:
    run = watched.runs[f"trial-{watched.best:03}"]
    page.goto(f"{watched.mlflow}/#/experiments/1/runs/{run}/artifacts")
    for name in ("item_vecs.npy", "user_vecs.npy", "model_meta.json", "weights.safetensors"):
        page.get_by_text(name, exact=True).first.wait_for()


def test_the_first_screen_of_the_report_says_what_counts(
    page: Page, watched: Watched, picture: Keep
) -> None:
    page.context.set_offline(True)
    page.goto(watched.report.as_uri())
    assert page.locator("img").count() in (7, 8)  # without importances if few are complete
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    gains = page.locator("table.gains tbody tr")
    rivals = ["default configuration", "EASE", "RP3beta", "item-kNN", "popularity"]
    assert [text.split("\t")[0] for text in gains.all_inner_texts()] == rivals
    for part in (page.get_by_role("heading", name=re.compile("Best: trial")), gains.last):
        box = part.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 860, "not on the first screen"
    picture(page, "report")

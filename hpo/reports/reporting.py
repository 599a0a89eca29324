"""The report of a study: made from its storage and its tuning data, written as files.

Test data is never read: models learn from train and are asked on validation; in the section
without other users' future they learn from the oldest and are asked for the newest of both.
"""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

import torch

from hpo import registry
from hpo.data import load_split
from hpo.errors import StudyError
from hpo.records import StudyRecord, comparable
from hpo.reports.advice import importances
from hpo.reports.contenders import Comparison, compare_elsewhere, compare_models
from hpo.reports.html import render_html
from hpo.reports.markdown import render_markdown
from hpo.reports.sections import Findings, build
from hpo.reports.style import style
from hpo.reports.trials import TrialRow, complete, default_trial, read_trials
from hpo.settings import Places
from hpo.storage import existing_storage
from hpo.study import load_study
from recsys.errors import DataError
from recsys.interactions import Interactions
from recsys.mlflow_client import open_client, sqlite_file, tracking_errors
from recsys.split import TEST, Split, split

PAGE, SUMMARY = "report.html", "summary.md"
PICTURES = (
    "history", "learning_curves", "importances", "parallel_coordinates", "slices", "models",
    "segments", "durations",
)  # fmt: skip
FILES = (
    *(f"{name}.png" for name in PICTURES),
    SUMMARY,
    PAGE,
)  # the page last: it is what one opens
ARTIFACTS = "report"  # folder in the study's MLflow run


def write_report(
    places: Places,
    study_name: str | None,
    folder: Path,
    *,
    data: str | None = None,
    whole: Split | None = None,
) -> Path:
    """Write a study's report into a folder; returns the page. Other files there stay.

    The best trial and the default configuration are trained again, so it takes about as long as
    these three trainings.

    Args:
        places: where the study lives.
        study_name: None: the newest.
        folder: made if missing.
        data: name or path of the study's data, if it has moved.
        whole: the study's data and split, if they are loaded already.

    Raises:
        StudyError: there is no such study, none of its trials is COMPLETE, or the folder cannot
            be written.
        PromotionError: the data is not what the study was made on.
    """
    _check_writable(folder)  # before the long part
    files = report_files(find_out(places, study_name, data=data, whole=whole))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".report-") as draft:
            for name, content in files.items():
                (Path(draft) / name).write_bytes(content)
            for name in FILES:
                if name in files:
                    (Path(draft) / name).replace(folder / name)
                else:  # of an earlier report
                    (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise StudyError(f"the report cannot be written to {folder}: {error}") from error
    return folder / PAGE


def _check_writable(folder: Path) -> None:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise StudyError(f"the report cannot be written to {folder}: {there} is not writable")


def find_out(
    places: Places,
    study_name: str | None,
    *,
    data: str | None = None,
    whole: Split | None = None,
) -> Findings:
    """All that a report shows. Arguments and errors as of `write_report`."""
    study = load_study(existing_storage(places.storage), study_name)
    record = StudyRecord.of(study)
    trials = comparable(record, read_trials(study))
    ranked = complete(trials)
    if not ranked:
        raise StudyError(
            f"study {study.study_name!r} has no complete trial yet, so there is nothing to report; "
            "let it run: python -m hpo.run. Its trials can be had with --csv FILE."
        )
    whole = whole or load_split(record, data)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    known = whole.interactions.take(whole.parts != TEST)
    best, default = ranked[0], default_trial(trials)
    return Findings(
        study=study.study_name,
        record=record,
        trials=trials,
        importance=importances(study, trials),
        compared=compare_models(whole.tuning, device, record, best, default),
        later=_without_the_future(record, known, best, device),
    )


def _without_the_future(
    record: StudyRecord, known: Interactions, best: TrialRow, device: torch.device
) -> Comparison | None:
    """The best trial and the baselines on a split of train + validation by global time.

    None if the study itself has such a split, or the data is too small or without times.
    """
    rule = record.config.split
    if rule.method == "global-time" or known.times is None:
        return None
    try:
        holdout = split(known, "global-time", fraction=rule.fraction).final
    except DataError:
        return None
    return compare_elsewhere(holdout, device, record, best)


def report_files(findings: Findings) -> dict[str, bytes]:
    """File name -> content: the page, the summary and every picture."""
    with style():
        report = build(findings)
        images = {}
        for picture in report.pictures:
            picture.figure.savefig(buffer := io.BytesIO(), format="png")
            images[picture.name] = buffer.getvalue()
    texts = {PAGE: render_html(report, images), SUMMARY: render_markdown(report)}
    return {f"{name}.png": image for name, image in images.items()} | {
        name: text.encode() for name, text in texts.items()
    }


def log_report(places: Places, study_name: str | None, folder: Path) -> str | None:
    """Put a report's files into the study's run in MLflow, in the folder `report`.

    Returns:
        The run's id; None if MLflow has no run of this study, or there is no tracking store yet.

    Raises:
        StudyError: there is no such study.
        TrackingError: MLflow does not answer or refuses.
    """
    path = sqlite_file(places.tracking_uri)
    if path is not None and not path.exists():
        return None
    study = load_study(existing_storage(places.storage), study_name)
    client = open_client(places.tracking_uri)
    with tracking_errors(places.tracking_uri):
        experiment = client.get_experiment_by_name(places.experiment)
        if experiment is None:
            return None
        uid = StudyRecord.of(study).uid
        run = registry.study_run(client, experiment.experiment_id, uid)
        if run is not None:
            for name in FILES:
                if (folder / name).exists():
                    client.log_artifact(run, str(folder / name), ARTIFACTS)
    return run

"""The report of a study: made from its storage and its tuning data, written as files.

Test data is never read: models learn from train and are asked on validation; in the section
without other users' future they learn from the oldest and are asked for the newest of both.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.data import load_split
from hpo.errors import StudyError
from hpo.places import Places
from hpo.records import StudyRecord, comparable
from hpo.reports.advice import importances, variance_shares
from hpo.reports.contenders import Comparison, compare_elsewhere, compare_models, device_of
from hpo.reports.html import render_html
from hpo.reports.keeping import keep_report
from hpo.reports.markdown import render_markdown
from hpo.reports.sections import Findings, build
from hpo.reports.style import style
from hpo.reports.trials import TrialRow, complete, default_trial, read_trials
from hpo.storage import existing_storage
from hpo.study import load_study
from recsys.errors import DataError
from recsys.holding_out import TEST
from recsys.interactions import Interactions
from recsys.split import Split, split

if TYPE_CHECKING:
    import torch

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


@dataclass(frozen=True)
class Written:
    """A report that has been written.

    Attributes:
        page: its file.
        is_kept: whether it is among the study's artifacts, from where MLflow gets it.
        news: a line on that, and on the best trial's model.
    """

    page: Path
    is_kept: bool
    news: str


def write_report(
    places: Places,
    study_name: str | None,
    folder: Path,
    *,
    data: str | None = None,
    whole: Split | None = None,
) -> Written:
    """Write a study's report into a folder and keep it with the study. Other files there stay.

    The best trial and the default configuration are trained again, so it takes about as long as
    these three trainings. The best trial's model is there then, and is kept, too, see `hpo.kept`:
    if it has the value that the study says, else it would be another model.

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
    findings = find_out(places, study_name, data=data, whole=whole)
    files = report_files(findings)
    _write(folder, files)
    return Written(folder / PAGE, *keep_report(places, findings, files))


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
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


def _check_writable(folder: Path) -> None:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise StudyError(
            f"the report cannot be written to {folder}: {there} is a file; give a folder with --out"
        )
    if not os.access(there, os.W_OK):
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
    known = whole.interactions.take(whole.parts != TEST)
    best, default = ranked[0], default_trial(trials)
    device = device_of(best)
    return Findings(
        study=study.study_name,
        record=record,
        split=whole,
        trials=trials,
        importance=importances(study, trials),
        variance=variance_shares(study, trials),
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

"""The report of a study, made from its storage and its tuning data, and written as files.

Test data is never read. Models learn from train and are asked for validation. In the section
without other users' future, models learn from the oldest rows of both and are asked for the newest.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.config import Locations
from hpo.errors import StudyError, TrainingFailed
from hpo.reporting.figures.style import style
from hpo.reporting.html import render_html
from hpo.reporting.insights import importances, variance_shares
from hpo.reporting.markdown import render_markdown
from hpo.reporting.model_comparison import (
    ModelComparison,
    compare_elsewhere,
    compare_models,
    device_of,
)
from hpo.reporting.sections import Findings, build, first_screen
from hpo.search import why_out
from hpo.study import (
    StudyRecord,
    TrialRow,
    best_metrics,
    comparable,
    complete_best_first,
    default_trial,
    existing_storage,
    load_named,
    load_split,
    read_trials,
    replace_artifacts,
    save_model,
)
from recsys.data import TEST, Interactions, Split, split
from recsys.errors import DataError, DivergedError, RecsysError, ScoreError

if TYPE_CHECKING:
    import torch
    from optuna import Study
PAGE, SUMMARY = "report.html", "summary.md"
PICTURES = (
    "history", "learning_curves", "importances", "parallel_coordinates", "slices", "models",
    "segments", "durations",
)  # fmt: skip
FILES = (
    *(f"{name}.png" for name in PICTURES),
    SUMMARY,
    PAGE,
)  # the page last, since readers open the page


EDITION = "<!-- edition"  # beginning of the last line of a page


@dataclass(frozen=True)
class Written:
    """A written report.

    Attributes:
        page: path of the HTML page.
        is_kept: True if the report is among the study's artifacts, from where it is copied into
            MLflow.
        news: one line on the stored report and the best trial's model.
        conclusion: lines that compare the best trial with the defaults and the baselines.
    """

    page: Path
    is_kept: bool
    news: str
    conclusion: Sequence[str]


def write_report(
    locations: Locations,
    study_name: str | None,
    folder: Path,
    *,
    data: str | None = None,
    whole: Split | None = None,
) -> Written:
    """Write a study's report into a folder, and store it with the study; other files there stay.

    The best trial is trained again (twice, if there is a second split), and the default
    configuration once, so the report takes about as long as these trainings. The best trial's model
    is stored too, see `hpo.study.files.artifacts`, unless it misses the value in the study: then it
    is another model.

    Args:
        locations: address of the study.
        study_name: name of the study; None: the only one.
        folder: folder of the report; created if missing.
        data: name or path of the study's data, if it has moved.
        whole: the study's data and split, if they are loaded already.

    Returns:
        The path of the page, and the outcome of storing the report.

    Raises:
        StudyError: there is no such study, none of its trials is COMPLETE, or the folder cannot be
            written.
        PromotionError: the data differs from the study's.
    """
    _check_writable(folder)  # before the long trainings
    findings = find_out(locations, study_name, data=data, whole=whole)
    files = report_files(findings)
    _write(folder, files)
    is_kept, news = keep_report(locations, findings, files)
    return Written(folder / PAGE, is_kept, news, first_screen(findings).lines)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replace the report's files in a folder by new ones, the page last.

    Raises:
        StudyError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # inside the folder, which may be a mount point: files cannot be moved between two of them
        with tempfile.TemporaryDirectory(dir=folder, prefix=".report-") as draft:
            for name, content in files.items():
                (Path(draft) / name).write_bytes(content)
            for name in FILES:
                if name in files:
                    (Path(draft) / name).replace(folder / name)
                else:  # a file of an earlier report
                    (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise StudyError(f"the report cannot be written to {folder}: {error}") from error


def _check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written.

    Raises:
        StudyError: the folder, or the nearest existing folder above it, is a file or not writable.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise StudyError(
            f"the report cannot be written to {folder}: {there} is a file; give a folder with --out"
        )
    if not os.access(there, os.W_OK):
        raise StudyError(f"the report cannot be written to {folder}: {there} is not writable")


def find_out(
    locations: Locations,
    study_name: str | None,
    *,
    data: str | None = None,
    whole: Split | None = None,
) -> Findings:
    """Return everything that a report shows; this trains and measures the models.

    Args:
        locations: address of the study.
        study_name: name of the study; None: the only one.
        data: name or path of the study's data, if it has moved.
        whole: the study's data and split, if they are loaded already.

    Raises:
        StudyError: there is no such study, or none of its trials is COMPLETE.
        PromotionError: the data differs from the study's.
    """
    study = load_named(existing_storage(locations.storage), study_name)
    record = StudyRecord.of(study)
    trials = comparable(record, read_trials(study))
    ranked = complete_best_first(trials)
    broken = _broken(study, record)
    if broken and not ranked:
        number, why = next(iter(broken.items()))
        raise StudyError(
            f"study {study.study_name!r} has no complete trial within its [constraints] (trial "
            f"{number}: {why}); run more trials, or loosen them with --accept-changes"
        )
    if not ranked:
        raise StudyError(
            f"study {study.study_name!r} has no complete trial yet, so there is nothing to report; "
            "continue the study with hpo.run, or export its trials with --csv FILE"
        )
    whole = whole or load_split(record, data)
    known = whole.interactions.take(whole.parts != TEST)
    best, default = ranked[0], default_trial(trials)
    device = device_of(best)
    later, problem = _without_the_future(record, known, best, device)
    return Findings(
        study=study.study_name,
        record=record,
        split=whole,
        trials=trials,
        importance=importances(study, trials),
        variance=variance_shares(study, trials),
        compared=compare_models(whole.tuning, device, record, best, default),
        later=later,
        later_problem=problem,
        broken=broken,
    )


def _broken(study: Study, record: StudyRecord) -> dict[int, str]:
    """Return the limits that complete trials break, by number of the trial."""
    trials = study.get_trials(deepcopy=False)
    out = [trial for trial in trials if trial.number in record.infeasible]
    return {trial.number: why_out(record.config, trial, best_metrics(trial)) for trial in out}


def _without_the_future(
    record: StudyRecord, known: Interactions, best: TrialRow, device: torch.device
) -> tuple[ModelComparison | None, str]:
    """Measure the best trial and the baselines on a global-time split of train + validation.

    The measurement is None if the study itself has such a split, or if the data is too small or has
    no times. It is also None if the training on these other rows fails, which costs only this part
    of the report; the second value is the reason then, else "".
    """
    rule = record.config.split
    if rule.method == "global-time" or known.times is None:
        return None, ""
    try:
        holdout = split(known, "global-time", fraction=rule.fraction).final
    except DataError:
        return None, ""
    try:
        return compare_elsewhere(holdout, device, record, best), ""
    except (DivergedError, ScoreError, TrainingFailed) as error:
        return None, str(error)


def edition(record: StudyRecord, best: int | None, ended: Sequence[int] | None) -> str:
    """Return the last line of a report's page, which differs if the report would differ.

    It does so if further trials have ended, if other trials may win now, or if settings of the
    study were changed.

    Args:
        record: record of the study.
        best: number of the best trial; None if there is none.
        ended: numbers of the comparable trials that have ended; None for the line of pages made
            before 2026-12, which did not have them.
    """
    facts = [best, list(record.infeasible), len(record.changes)]
    if ended is not None:
        facts += [len(ended), max(ended, default=-1)]
    return f"{EDITION} {hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]} -->"


def report_files(findings: Findings) -> dict[str, bytes]:
    """Return the report's files by name: the page, the summary and every picture."""
    with style():
        report = build(findings)
        images = {}
        for picture in report.pictures:
            picture.figure.savefig(buffer := io.BytesIO(), format="png")
            images[picture.name] = buffer.getvalue()
    best = complete_best_first(findings.trials)[0].number
    ended = [trial.number for trial in findings.trials if trial.ended]
    page = f"{render_html(report, images)}{edition(findings.record, best, ended)}\n"
    texts = {PAGE: page, SUMMARY: render_markdown(report)}
    return {f"{name}.png": image for name, image in images.items()} | {
        name: text.encode() for name, text in texts.items()
    }


def keep_report(
    locations: Locations, findings: Findings, files: Mapping[str, bytes]
) -> tuple[bool, str]:
    """Store report and model with the study.

    A report that cannot be stored, for instance beside a read-only storage, is still a report: the
    returned line tells the error.

    Args:
        locations: address of the study.
        findings: contents of the report.
        files: the report's files by name.

    Returns:
        True if the report was stored, and one line on the report and the model.
    """
    best = complete_best_first(findings.trials)[0]
    winner = findings.compared.winner if findings.compared else None
    save = None
    if winner is not None and winner.model is not None and winner.is_as_stored:
        save = partial(
            save_model,
            model=winner.model,
            record=findings.record,
            split=findings.split,
            trial=best.number,
            best_epoch=best.best_epoch,
            validation=winner.users.mean(),
        )
    try:
        replace_artifacts(locations.storage, findings.study, files, best.number, save)
    except RecsysError as error:
        return False, f"the report is not stored with the study: {error}"
    if winner is None or findings.record.config.trainable is not None:
        return True, "stored with the study: this report"
    if save is None:
        return True, (
            f"the model of trial {best.number} is not stored with the study: trained again it has "
            f"{winner.objective} {winner.value.mean:.6f}, not {best.score:.6f}"
        )
    return True, f"stored with the study: this report and the model of trial {best.number}"

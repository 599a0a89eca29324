"""Our own cells: a study by hpo.run, then the race and the refit that hpo.promote would do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from optuna import Study
from optuna.trial import FrozenTrial

from comparison.cases import Case
from comparison.tuning import Budget
from hpo.errors import StudyError
from hpo.gate.race import run_race
from hpo.promotion.outcome import PromotionSettings
from hpo.study.candidates import REFIT, Candidate, top_candidates
from hpo.study.data import load_split
from hpo.study.lifecycle import load_named
from hpo.study.records import COUNTED, Outcome, epochs_of, first_start_ms
from hpo.study.storage import storage_if_there
from recsys.artifacts.checkpoint import BEFORE
from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.data.splitting import Holdout
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from recsys.evaluation.metrics import UserMetrics
from recsys.training.fit import train

CPU = torch.device("cpu")
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class OurStudy:
    """A finished study.

    Attributes:
        candidate: the winner of the race of its best trials on validation.
        trials: COMPLETE or PRUNED, as n_trials counts.
        cpu_seconds: of the study and the race.
    """

    candidate: Candidate
    trials: int
    cpu_seconds: float


def run_study(case: Case, folder: Path, toml: str, budget: Budget, cache: Path) -> OurStudy:
    """The public command on one worker, MLflow left out; it continues what was interrupted.

    Its time limit counts wall time, so a busy machine gives it less than the peers get; what was
    interrupted goes on with the rest of it. The race afterwards comes on top.
    """
    storage = f"sqlite:///{(cache / 'ours.db').as_posix()}"
    name = f"{Path(toml).stem}-{case.name}"
    command = [
        sys.executable, "-m", "hpo.run", "--study", str(REPOSITORY / "studies" / toml),
        "--data", str(folder.resolve()), "--repeats", case.repeats, "--study-name", name,
        "--storage", storage, "--n-trials", str(budget.trials), "--workers", "1",
        "--no-tracking", "--device", "cpu",
    ]  # fmt: skip
    if case.method:
        command += ["--split", case.method]
    before, study = _children(), _stored(storage, name)
    left = budget.cpu_seconds - (wall_seconds(study) if study else 0.0)
    if left > 0:
        command += ["--timeout", f"{left:.1f}"]
        subprocess.run(command, check=True, cwd=REPOSITORY, env=dict(os.environ))
        study = _stored(storage, name)
    assert study is not None
    ended = study.get_trials(deepcopy=False, states=COUNTED)
    cpu = _children() - before
    begin = time.process_time()
    candidate = _winner(study)
    return OurStudy(candidate, len(ended), cpu + time.process_time() - begin)


def _stored(storage: str, name: str) -> Study | None:
    """None before the first call."""
    found = storage_if_there(storage)
    try:
        return load_named(found, name) if found else None
    except StudyError:
        return None


def wall_seconds(study: Study) -> float:
    """Return the seconds of all trainings so far, also of those that failed or wait to go on."""
    return sum(_seconds(trial) for trial in study.get_trials(deepcopy=False))


def _seconds(trial: FrozenTrial) -> float:
    """Return the seconds of a trial; without an end, its epochs at their median, without pauses."""
    outcome, ends = Outcome.of(trial), epochs_of(trial).get("time_ms", [])
    if outcome or not ends:
        return outcome.seconds if outcome else 0.0
    each = [later - end for end, later in pairwise([first_start_ms(trial) or ends[0], *ends])]
    return len(ends) * median(each) / 1000


def _winner(study: Study) -> Candidate:
    """As hpo.promote does it: the best trials again, with seeds that no trial had."""
    settings = PromotionSettings()
    candidates = top_candidates(study, settings.candidates)
    holdout = load_split(candidates[0].record, None).tuning
    race = run_race(candidates, holdout, settings.seeds, CPU, lambda line: print(line, flush=True))
    return next(each for each in candidates if each.trial == race.winner)


def train_and_test(
    params: Mapping[str, Any], question: Holdout, seed: int, seen: Interactions | None = None
) -> tuple[UserMetrics, float]:
    """One training, scored on test; with its CPU seconds.

    Args:
        params: of `params_of`.
        question: the test rows, and all rows before them: what users have when they are asked.
        seed: of the training.
        seen: train rows, for weights from train only, after the best epoch; None: the refit on
            train + validation.
    """
    how = {"refit_teachers": 0, **params}  # older rows had none
    epochs, teachers = how.pop("refit_epochs"), how.pop("refit_teachers")
    config = TrainConfig.from_dict({**BEFORE, **how, "seed": seed})
    begin = time.process_time()
    if seen is not None:
        epochs //= REFIT
    model = train(question.seen if seen is None else seen, config, epochs, CPU, teachers=teachers)
    cpu = time.process_time() - begin
    return Evaluator(question, CPU).evaluate(TowerScorer(model, question.seen)), cpu


def params_of(candidate: Candidate) -> dict[str, Any]:
    return {
        **candidate.config.as_dict(),
        "refit_epochs": candidate.refit_epochs,
        "refit_teachers": candidate.record.config.promotion.teachers,
    }


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system

"""Our own cells: a study by hpo.run, then the race and the refit that hpo.promote would do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from optuna import Study

from comparison.cases import Case
from comparison.tuning import Budget
from hpo.gate.race import run_race
from hpo.promotion.outcome import PromotionSettings
from hpo.study.candidates import Candidate, top_candidates
from hpo.study.data import load_split
from hpo.study.lifecycle import load_named
from hpo.study.records import Outcome
from hpo.study.storage import open_storage
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
        trials: that ended by themselves.
        cpu_seconds: of the study and the race.
    """

    candidate: Candidate
    trials: int
    cpu_seconds: float


def run_study(case: Case, folder: Path, toml: str, budget: Budget, cache: Path) -> OurStudy:
    """The public command on one worker, MLflow left out; it continues what was interrupted.

    Its time limit counts wall time, so a busy machine gives it less than the peers get.
    """
    storage = f"sqlite:///{(cache / 'ours.db').as_posix()}"
    name = f"{Path(toml).stem}-{case.name}"
    command = [
        sys.executable, "-m", "hpo.run", "--study", str(REPOSITORY / "studies" / toml),
        "--data", str(folder.resolve()), "--repeats", case.repeats, "--study-name", name,
        "--storage", storage, "--n-trials", str(budget.trials), "--workers", "1",
        "--timeout", str(budget.cpu_seconds), "--no-tracking", "--device", "cpu",
    ]  # fmt: skip
    before = _children()
    subprocess.run(command, check=True, cwd=REPOSITORY, env=dict(os.environ))
    study = load_named(open_storage(storage), name)
    ended = [each for each in study.get_trials(deepcopy=False) if Outcome.of(each)]
    cpu = _children() - before
    begin = time.process_time()
    candidate = _winner(study)
    return OurStudy(candidate, len(ended), cpu + time.process_time() - begin)


def _winner(study: Study) -> Candidate:
    """As hpo.promote does it: the best trials again, with seeds that no trial had."""
    settings = PromotionSettings()
    candidates = top_candidates(study, settings.candidates)
    holdout = load_split(candidates[0].record, None).tuning
    race = run_race(candidates, holdout, settings.seeds, CPU, lambda line: print(line, flush=True))
    return next(each for each in candidates if each.trial == race.winner)


def test_seed(candidate: Candidate, seed: int) -> tuple[UserMetrics, float]:
    """One refit on train + validation, scored on test; with its CPU seconds."""
    question = load_split(candidate.record, None).final
    begin = time.process_time()
    model = train(question.seen, candidate.config.replace(seed=seed), candidate.refit_epochs, CPU)
    cpu = time.process_time() - begin
    return Evaluator(question, CPU).evaluate(TowerScorer(model, question.seen)), cpu


def config_of(candidate: Candidate) -> dict[str, Any]:
    return {**candidate.config.as_dict(), "refit_epochs": candidate.refit_epochs}


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system

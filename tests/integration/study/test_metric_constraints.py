"""Limits of metrics: what breaks one counts, but it neither wins nor races, and all say why."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers._tpe.sampler import _split_trials
from optuna.trial import TrialState
from rich.console import Console

from hpo.config.locations import Locations
from hpo.errors import PromotionError, SettingsError, StudyError
from hpo.execution.ledger import Ledger
from hpo.execution.objective import Objective, Stop
from hpo.execution.progress import LineProgress
from hpo.execution.running_trial import RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.execution.summary import ending
from hpo.gate.race import decide
from hpo.gate.tables import race_rows
from hpo.reporting.tables import left_out
from hpo.search.constraints import Constraints
from hpo.study.candidates import top_candidates
from hpo.study.lifecycle import open_study, store_infeasible
from hpo.study.records import StudyRecord, best_complete, best_metrics, comparable
from hpo.tracking.study_projection import project_study
from hpo.tracking.trial_projection import StudyView, project_trial
from recsys.config import TrainConfig
from recsys.training.epoch import EpochResult
from tests.integration.gate.test_race import candidates, users
from tests.support.scripted import (
    MemoryProgress,
    ScriptedRunner,
    make_study,
    study_config,
    study_record,
)

LIMIT: dict[str, Any] = {"coverage_at_10": {"min": 0.5}}  # dim <= 16 of 4..64
FREE: dict[str, Any] = {"pruner": {"name": "none"}}


class Narrowing(ScriptedRunner):
    """The larger the dim, the better the objective, and the fewer items are shown."""

    def epochs(self, config: TrainConfig, snapshot: Path | None = None) -> Generator[EpochResult]:
        shown = {"coverage_at_10": 8 / config.dim, "novelty_at_10": 3.0, "gini_at_10": 0.5}
        for result in super().epochs(config, snapshot):
            yield replace(result, metrics=replace(result.metrics, more=shown))


def run(study: optuna.Study, n_trials: int = 12, **values: Any) -> list[str]:
    """Run the study to its end; return the printed lines."""
    config = study_config(n_trials=n_trials, **FREE, **values)
    console = Console(record=True, width=200, quiet=True)
    lines = LineProgress(console, n_trials, 0, 0.0, "recall_at_10")
    told: list[str] = []

    class Told(MemoryProgress):
        def ended(self, assignment, state, outcome):
            told.append(lines.line(assignment, state, outcome))

    ended = Scheduler(Ledger(study, config), [Narrowing()], Told(), n_trials).run()
    assert ended == RunEnd("complete", n_trials)
    return told


def is_out(trial: optuna.trial.FrozenTrial) -> bool:
    return trial.params["dim"] > 16


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[optuna.Study, list[str]]:
    config = study_config(n_trials=12, constraints=LIMIT, **FREE)
    study = make_study(tmp_path_factory.mktemp("limited"), config)
    return study, run(study, constraints=LIMIT)


def test_what_breaks_a_limit_counts_and_cannot_win(
    finished: tuple[optuna.Study, list[str]],
) -> None:
    study, lines = finished
    out = [trial.number for trial in study.trials if is_out(trial)]
    assert 0 < len(out) < 12
    for trial in study.trials:
        assert trial.state is TrialState.COMPLETE
        excess = 0.5 - 8 / trial.params["dim"]
        assert trial.constraints == {"coverage_at_10.min": pytest.approx(excess)}
        line = next(line for line in lines if f"trial {trial.number} " in line)
        assert (f"(cannot win: coverage_at_10 {8 / trial.params['dim']:.4g} < 0.5)" in line) == (
            is_out(trial)
        )
        assert not (is_out(trial) and "(best)" in line)
    record = StudyRecord.of(study)
    assert record.infeasible == tuple(out)
    free, best = best_complete(study.trials), best_complete(comparable(record, study.trials))
    assert free is not None and best is not None
    assert is_out(free) and not is_out(best)
    found = Ledger(study, record.config).best()
    assert found is not None and found.number == best.number
    racing = [candidate.trial for candidate in top_candidates(study, 12)]
    assert racing[0] == best.number
    assert not set(racing) & set(out)


def test_the_sampler_knows_it(finished: tuple[optuna.Study, list[str]]) -> None:
    study, _ = finished
    below, _ = _split_trials(study, study.trials, n_below=3)
    assert not any(map(is_out, below))


def test_mlflow_report_and_end_say_which_limit(
    finished: tuple[optuna.Study, list[str]],
) -> None:
    study, _ = finished
    record = StudyRecord.of(study)
    view = StudyView("s", 0, record)
    for trial in study.trials:
        content = project_trial(view, trial, "parent")
        assert content is not None
        told = f"coverage_at_10 {8 / trial.params['dim']:.4g} < 0.5" if is_out(trial) else None
        assert content.tags.get("hpo.broken") == told
    whole = project_study(view, study.trials)
    assert whole is not None
    assert whole.tags["hpo.constraints.coverage_at_10"] == "min 0.5"
    best = best_complete(comparable(record, study.trials))
    assert best is not None
    assert whole.tags["hpo.best_trial"] == str(best.number)
    bests = [dict(zip(row.names, row.values, strict=True)) for row in whole.rows]
    assert [row["best_recall_at_10"] for row in bests if "best_recall_at_10" in row][-1] == (
        best.value
    )
    text = ending(study, RunEnd("complete", 12), 12, Locations(), None)
    n, last = len(record.infeasible), record.infeasible[-1]
    assert f"{n} complete, but cannot win, for instance trial {last}: coverage_at_10 " in text
    (said,) = left_out({3: "coverage_at_10 0.1 < 0.5"})
    assert said.endswith("since they break a constraint: trial 3: coverage_at_10 0.1 < 0.5.")
    assert left_out({}) == []


def test_a_limit_that_comes_later_binds_and_one_that_goes_frees(tmp_path: Path) -> None:
    study = make_study(tmp_path, study_config(n_trials=8, **FREE))
    run(study, 8)
    free = best_complete(study.trials)
    assert free is not None and is_out(free)
    tight = study_config(n_trials=12, constraints=LIMIT, **FREE)
    with pytest.raises(StudyError, match=r"coverage_at_10: was absent, is \{ min = 0.5 \}"):
        open_study(study._storage, "small", study_record(tight))
    study, record = open_study(study._storage, "small", study_record(tight), accept_changes=True)
    broken = Constraints(tight, {}).broken_by(study.trials, best_metrics)
    assert broken == tuple(trial.number for trial in study.trials if is_out(trial))
    store_infeasible(study, record, broken)

    ledger = Ledger(study, tight)  # its sampler reads of old trials what they break today
    below, _ = _split_trials(
        ledger.study, [t for t in ledger.study.trials if t.state.is_finished()], n_below=2
    )
    assert not any(map(is_out, below))
    run(study, 12, constraints=LIMIT)
    record = StudyRecord.of(study)
    assert record.infeasible == tuple(t.number for t in study.trials if is_out(t))
    best = best_complete(comparable(record, study.trials))
    assert best is not None and not is_out(best)
    series = project_study(StudyView("s", 0, record), study.trials)
    assert series is not None  # MLflow's points of before the change stay as they were
    early = [row for row in series.rows if row.step == 7 and "best_recall_at_10" in row.names]
    assert early[0].values[early[0].names.index("best_recall_at_10")] == free.value

    loose = study_config(n_trials=12, **FREE)
    study, record = open_study(study._storage, "small", study_record(loose), accept_changes=True)
    broken = Constraints(loose, {}).broken_by(study.trials, best_metrics)
    record = store_infeasible(study, record, broken)
    assert record.infeasible == ()
    again = best_complete(comparable(record, study.trials))
    top = best_complete(study.trials)
    assert again is not None and top is not None
    assert again.number == top.number
    assert all(trial.constraints == {} for trial in Ledger(study, loose).study.trials)


def test_a_limit_on_what_was_not_measured_is_not_met(tmp_path: Path) -> None:
    study = make_study(tmp_path, study_config(n_trials=2, **FREE))
    run(study, 2)
    config = study_config(constraints={"gini_at_50": {"max": 0.9}})
    assert Constraints(config, {}).broken_by(study.trials, best_metrics) == (0, 1)
    met = study_config(constraints={"gini_at_10": {"max": 0.5}, "recall_at_10": {"min": 0.01}})
    assert Constraints(met, {}).broken_by(study.trials, best_metrics) == ()


def test_a_copied_result_breaks_the_limit_too(tmp_path: Path) -> None:
    base = {"dim": 32, "lr": 0.01, "epochs": 4}
    config = study_config(constraints=LIMIT, base=base, **FREE)
    study = make_study(tmp_path, config)
    study.enqueue_trial({"dim": 32, "lr": 0.01, "epochs": 4})
    ledger = Ledger(study, config)
    for same_as in (None, 0):
        assignment = ledger.start("scripted", 1)
        state, outcome = Objective(ledger, lambda *_: None, lambda: Stop.NO)(
            assignment, Narrowing()
        )
        assert (state, outcome.same_as) == (TrialState.COMPLETE, same_as)
        assert assignment.broken == "coverage_at_10 0.25 < 0.5"
    assert StudyRecord.of(study).infeasible == (0, 1)
    with pytest.raises(PromotionError, match=r"no complete trial within its \[constraints\]"):
        top_candidates(study, 5)


def test_who_breaks_a_limit_with_fresh_seeds_loses_the_race() -> None:
    config = study_config(constraints=LIMIT)
    racing = [
        replace(one, record=replace(one.record, config=config)) for one in candidates(0.3, 0.2)
    ]
    found = decide(racing, [users(0.3, 1, coverage=0.1), users(0.2, 1, coverage=0.6)])
    assert found.winner == racing[1].trial
    assert race_rows(found)[0][-1] == "coverage_at_10 0.1 < 0.5"
    with pytest.raises(PromotionError, match=r"no candidate keeps the \[constraints\]"):
        decide(racing, [users(0.3, 1, coverage=0.1), users(0.2, 1, coverage=0.2)])
    with pytest.raises(PromotionError, match=rf"constraints.*trial {racing[1].trial}: coverage"):
        decide(racing, [[], users(0.2, 1, coverage=0.2)])


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"coverage_at_10": {}}, "give min, max or both"),
        ({"gini_at_10": {"min": 0.9, "max": 0.1}}, "min 0.9 is above max 0.1"),
        ({"modle_mb": {"max": 3}}, "modle_mb: unknown; known: model_mb, recall_at_K"),
        ({"precision_at_10": {"min": 0.1}}, "precision_at_10: unknown; known"),
    ],
)
def test_wrong_limits_are_refused(limits: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        study_config(constraints=limits)


def test_limited_metrics_are_measured() -> None:
    limits = {"recall_at_100": {"min": 0.1}, "gini_at_3": {"max": 0.9}, "mrr": {"min": 0.1}}
    config = study_config(constraints=limits, metrics={"cutoffs": [7, 3]})
    assert config.cutoffs == (3, 7, 100)


def test_own_models_have_no_limits_of_metrics() -> None:
    from hpo.config.cross_checks import check_study

    config = study_config(constraints=LIMIT, trainable="tests.support.own_model:Popular")
    told = r"constraints\.coverage_at_10: limits of metrics are for two-towers only"
    with pytest.raises(SettingsError, match=told):
        check_study(config)

"""Constraints: known before training, so what breaks them is not trained and cannot win."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.samplers._tpe.sampler import _split_trials
from optuna.trial import TrialState
from rich.console import Console

from hpo.config.locations import Locations
from hpo.errors import PromotionError, SettingsError
from hpo.execution.ledger import Ledger
from hpo.execution.objective import Objective, Stop
from hpo.execution.progress import LineProgress
from hpo.execution.running_trial import RunEnd
from hpo.execution.scheduler import Scheduler
from hpo.execution.summary import ending
from hpo.reporting.tables import stages
from hpo.search.constraints import Constraints
from hpo.study.candidates import top_candidates
from hpo.study.lifecycle import open_study, store_infeasible
from hpo.study.records import (
    Outcome,
    StudyRecord,
    best_complete,
    best_metrics,
    comparable,
)
from hpo.study.trial_rows import read_trials
from hpo.tracking.trial_projection import StudyView, project_trial
from recsys.config import TrainConfig
from tests.support.scripted import (
    MemoryProgress,
    ScriptedRunner,
    make_study,
    study_config,
    study_record,
)

MEASURES = {"model_mb": lambda config: config.dim / 2}
LIMIT = {"constraints": {"model_mb": 10}}  # dim <= 20 of 4..64


def run(folder: Path, n_trials: int = 12) -> tuple[optuna.Study, ScriptedRunner]:
    config = study_config(n_trials=n_trials, pruner={"name": "none"}, **LIMIT)
    study = make_study(folder, config)
    runner = ScriptedRunner()  # larger dims are better, so the best would be infeasible
    ended = Scheduler(
        Ledger(study, config, measures=MEASURES), [runner], MemoryProgress(), n_trials
    ).run()
    assert ended == RunEnd("complete", n_trials)
    return study, runner


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[optuna.Study, ScriptedRunner]:
    return run(tmp_path_factory.mktemp("constrained"))


def test_an_infeasible_config_is_pruned_untrained_and_counts(
    finished: tuple[optuna.Study, ScriptedRunner],
) -> None:
    study, runner = finished
    infeasible = [trial for trial in study.trials if trial.params["dim"] > 20]
    assert 0 < len(infeasible) < 12
    for trial in study.trials:
        dim = trial.params["dim"]
        assert trial.constraints == {"model_mb": dim / 2 - 10}
        assert trial.state is (TrialState.PRUNED if dim > 20 else TrialState.COMPLETE)
    for trial in infeasible:
        message = f"model_mb {trial.params['dim'] / 2:.4g} > 10"
        assert Outcome.of(trial) == Outcome(0, 0.0, "infeasible", message)
        assert trial.intermediate_values == {}
    assert max(config.dim for config in runner.trained) <= 20
    assert len(runner.trained) == 12 - len(infeasible)


def test_the_sampler_sees_the_constraint(
    finished: tuple[optuna.Study, ScriptedRunner],
) -> None:
    study, _ = finished
    below, above = _split_trials(study, study.trials, n_below=4)
    assert all(trial.params["dim"] <= 20 for trial in below)
    assert any(trial.params["dim"] > 20 for trial in above)


def test_what_breaks_a_constraint_that_came_later_does_not_win(tmp_path: Path) -> None:
    config = study_config(n_trials=8, pruner={"name": "none"})
    study = make_study(tmp_path, config)
    Scheduler(Ledger(study, config), [ScriptedRunner()], MemoryProgress(), 8).run()
    free = best_complete(study.trials)
    assert free is not None
    assert free.params["dim"] > 20

    tight = study_config(n_trials=8, pruner={"name": "none"}, **LIMIT)
    study, record = open_study(study._storage, "small", study_record(tight), accept_changes=True)
    broken = Constraints(tight, MEASURES).broken_by(study.trials, best_metrics)
    assert broken == tuple(trial.number for trial in study.trials if trial.params["dim"] > 20)
    record = store_infeasible(study, record, broken)
    best = best_complete(comparable(record, study.trials))
    assert best is not None
    assert best.params["dim"] <= 20
    assert top_candidates(study, 9)[0].trial == best.number
    assert not {one.trial for one in top_candidates(study, 9)} & set(broken)
    ledger = Ledger(study, tight, measures=MEASURES)
    text, last = ending(ledger.study, RunEnd("complete", 8), 8, Locations(), None), broken[-1]
    size = study.trials[last].params["dim"] / 2
    told = f"for instance trial {last}: model_mb {size:.4g} > 10"
    assert f"{len(broken)} complete, but cannot win, {told}\n" in text
    found = ledger.best()
    assert found is not None
    assert found.number == best.number

    study, record = open_study(study._storage, "small", study_record(config), accept_changes=True)
    record = store_infeasible(
        study, record, Constraints(config, MEASURES).broken_by(study.trials, best_metrics)
    )
    again = best_complete(comparable(record, study.trials))
    assert again is not None
    assert again.number == free.number


def test_no_feasible_trial_is_no_candidate(tmp_path: Path) -> None:
    config = study_config(**LIMIT, base={"dim": 32, "lr": 0.01, "epochs": 4})
    study = make_study(tmp_path, config)
    ledger = Ledger(study, config, measures=MEASURES)
    state, _ = Objective(ledger, lambda *_: None, lambda: Stop.NO)(
        ledger.start("scripted", 1), ScriptedRunner()
    )
    assert (state, ledger.n_finished(), ledger.best()) == (TrialState.PRUNED, 1, None)
    with pytest.raises(PromotionError, match="no complete trial"):
        top_candidates(study, 5)


def test_the_cause_is_shown_everywhere(
    finished: tuple[optuna.Study, ScriptedRunner], tmp_path: Path
) -> None:
    study, _ = finished
    first = next(trial for trial in study.trials if trial.params["dim"] > 20)
    n = sum(trial.params["dim"] > 20 for trial in study.trials)
    text = ending(study, RunEnd("complete", 12), 12, Locations(), None)
    assert f"{n} infeasible, not trained, for instance: model_mb " in text
    assert "failed" not in text
    view = StudyView("s", 0, StudyRecord.of(study))
    content = project_trial(view, first, "parent")
    assert content is not None
    assert content.tags["hpo.cause"] == "infeasible"
    assert content.tags["hpo.message"] == f"model_mb {first.params['dim'] / 2:.4g} > 10"
    assert content.params["dim"] == str(first.params["dim"])
    assert content.status == "KILLED"
    assert [row[:2] for row in stages(read_trials(study)).rows if "infeasible" in row[0]] == [
        ("pruned (infeasible)", f"{n}")
    ]
    config = study_config(**LIMIT, base={"dim": 32, "lr": 0.01, "epochs": 4})
    assignment = Ledger(make_study(tmp_path, config), config, measures=MEASURES).start(
        "scripted", 1
    )
    line = LineProgress(Console(), 12, 0, 0.0, "recall_at_10").line(
        assignment, TrialState.PRUNED, assignment.outcome()
    )
    assert line == "[ 1/12] trial 0 pruned (infeasible): model_mb 16 > 10"


def test_a_study_without_any_feasible_config_is_refused() -> None:
    config = study_config(constraints={"model_mb": 1})
    with pytest.raises(SettingsError, match="no configuration of the space has at most 1, the lea"):
        Constraints(config, MEASURES).check()
    Constraints(study_config(constraints={"model_mb": 2}), MEASURES).check()  # dim 4


def test_without_constraints_nothing_is_measured() -> None:
    constraints = Constraints(study_config(), {})
    assert constraints.excess(TrainConfig()) == {}
    assert constraints.violation({}) == ""


def test_a_default_that_was_too_large_is_tried_when_it_no_longer_is(tmp_path: Path) -> None:
    base = {"dim": 32, "lr": 0.01, "epochs": 4}
    tight, wide = (
        study_config(n_trials=8, base=base, constraints={"model_mb": limit}) for limit in (10, 20)
    )
    study = make_study(tmp_path, tight)
    ledger = Ledger(study, tight, measures=MEASURES)
    first = ledger.start("scripted", 1)
    assert first.violation
    ledger.prune(first)
    for config in (tight, wide, wide):  # queued once, and not as long as nothing has changed
        study, _ = open_study(study._storage, "small", study_record(config), accept_changes=True)
        queued = [t.system_attrs["fixed_params"]["dim"] for t in study.trials[1:]]
        assert queued == ([] if config is tight else [32])
    ledger = Ledger(study, wide, measures=MEASURES)
    again = ledger.start("scripted", 1)
    assert (again.number, again.config.dim, again.violation) == (1, 32, "")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Ordered", "OrderedConfig refuses it: steps="),
        ("Blunt", "BluntConfig refuses it: ValueError: too many steps"),
    ],
)
def test_a_combination_that_an_own_model_refuses_is_infeasible_and_the_study_goes_on(
    tmp_path: Path, name: str, why: str
) -> None:
    config = study_config(
        trainable=f"tests.support.strict_model:{name}",
        base={},
        space={"steps": {"low": 1, "high": 8}, "most": {"low": 1, "high": 8}},
        n_trials=12,
        pruner={"name": "none"},
    )
    study = make_study(tmp_path, config)
    runner = ScriptedRunner(lambda config: [vars(config)["twice"] / 20])
    progress = MemoryProgress()
    ended = Scheduler(Ledger(study, config), [runner], progress, 12).run()
    assert ended == RunEnd("complete", 12)
    refused = [trial for trial in study.trials if trial.params["steps"] > trial.params["most"]]
    assert 0 < len(refused) < 12
    for trial in study.trials:
        is_refused = trial in refused
        assert trial.state is (TrialState.PRUNED if is_refused else TrialState.COMPLETE)
        outcome = Outcome.of(trial)
        assert outcome is not None
        assert outcome.cause == ("infeasible" if is_refused else None)
        assert outcome.message.startswith(why if is_refused else "")
    rows = read_trials(study)
    assert [row.cause == "infeasible" for row in rows] == [t in refused for t in study.trials]
    view = StudyView(study.study_name, 0, StudyRecord.of(study), Locations())
    for trial in refused:
        content = project_trial(view, trial, "parent")
        assert content is not None
        assert content.params["steps"] == str(trial.params["steps"])
    assert Ledger(study, config).n_finished() == 12  # a later launcher reads them all

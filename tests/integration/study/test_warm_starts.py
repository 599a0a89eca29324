"""Warm starts: the best trials of another study, and points of the user's, are tried first."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from hpo.config.study_config import StudyConfig
from hpo.errors import StudyError
from hpo.execution.ledger import Ledger
from hpo.execution.scheduler import Scheduler
from hpo.search.samplers import derive_seed, make_sampler
from hpo.study.candidates import default_candidate, top_candidates
from hpo.study.lifecycle import open_study
from hpo.study.records import comparable
from hpo.study.storage import open_storage
from hpo.study.trial_rows import default_trial, read_trials
from hpo.study.warm_starts import with_best_of
from tests.support.scripted import (
    MemoryProgress,
    ScriptedRunner,
    completed,
    make_study,
    study_config,
    study_record,
)
from tests.support.storage_url import url


def queued(study: optuna.Study) -> list[dict]:
    return [trial.system_attrs["fixed_params"] for trial in study.trials]


def test_warm_starts_follow_the_defaults_once_and_more_can_come(tmp_path: Path) -> None:
    storage, default = open_storage(url(tmp_path)), {"dim": 8, "lr": 0.01, "epochs": 4}
    first = study_config(warm_starts=[{"dim": 16}, {"dim": 8}])  # the second is the default
    study, _ = open_study(storage, "s", study_record(first))
    assert queued(study) == [default, {**default, "dim": 16}]
    later = study_config(warm_starts=[{"dim": 32.0, "lr": 0.1}])
    for _ in range(2):
        study, record = open_study(storage, "s", study_record(later))
        assert queued(study) == [
            default, {**default, "dim": 16}, {"dim": 32, "lr": 0.1, "epochs": 4},
        ]  # fmt: skip
    assert record.config.warm_starts == ({"dim": 16}, {"dim": 8}, {"dim": 32, "lr": 0.1})


def test_warm_starts_lost_by_a_kill_are_queued_later(tmp_path: Path) -> None:
    storage = open_storage(url(tmp_path))
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    config = study_config(warm_starts=[{"dim": 16}])
    study.set_user_attr("hpo:study", study_record(config).to_json())
    study.enqueue_trial({"dim": 8, "lr": 0.01, "epochs": 4})
    study, _ = open_study(storage, "s", study_record(config))
    assert [params["dim"] for params in queued(study)] == [8, 16]


def test_the_best_of_another_study_are_tried_where_they_fit(tmp_path: Path) -> None:
    config = study_config(n_trials=12, pruner={"name": "none"})
    other = make_study(tmp_path, config)
    Scheduler(Ledger(other, config), [ScriptedRunner()], MemoryProgress(), 12).run()
    best = top_candidates(other, 5)
    dims = sorted(candidate.config.dim for candidate in best)
    middle = dims[2]
    narrow = study_config(
        name="narrow",
        base={"dim": 4, "lr": 0.01, "mix": 0.5},
        space={"dim": {"low": 4, "high": middle}, "lr": {"low": 1e-3, "high": 1e-1, "log": True}},
    )
    said: list[str] = []
    starts = with_best_of(other, narrow, said.append).warm_starts
    fitting = [c for c in best if c.config.dim <= middle]
    assert list(starts) == [{"dim": c.config.dim, "lr": c.config.lr} for c in fitting]
    for candidate in set(best) - set(fitting):
        text = f"trial {candidate.trial} of small, left out: dim {candidate.config.dim} is not in 4"
        assert any(text in line for line in said)
    assert said[-1] == f"warm starts: {len(fitting)} of the best 5 trials of small"
    with pytest.raises(StudyError, match="no complete trial"):
        with_best_of(make_study(tmp_path, study_config(name="empty")), narrow, said.append)
    alien = narrow.model_copy(update={"trainable": "als:Als"})
    with pytest.raises(StudyError, match="tunes another model, the two-tower, not als:Als"):
        with_best_of(other, alien, said.append)
    with pytest.raises(StudyError, match="--warm-start-from small: is this study itself"):
        with_best_of(other, config, said.append)


def test_warm_starts_of_a_study_that_goes_on(tmp_path: Path) -> None:
    config = study_config(n_trials=6, pruner={"name": "none"})
    other = make_study(tmp_path, config)
    Scheduler(Ledger(other, config), [ScriptedRunner()], MemoryProgress(), 6).run()
    mine = study_config(name="mine", n_trials=2)
    said: list[str] = []
    first = with_best_of(other, mine, said.append)
    assert len(first.warm_starts) == 5
    study, record = open_study(other._storage, "mine", study_record(first))
    again = with_best_of(other, mine, said.append)
    assert again.warm_starts == ()
    assert said[-1] == "warm starts: 0 new of the best 5 trials of small"
    Scheduler(Ledger(study, record.config), [ScriptedRunner()], MemoryProgress(), 2).run()
    n = len(said)
    assert with_best_of(other, mine, said.append) is mine  # complete: nothing would try them
    assert len(said) == n


def test_seeds_of_a_study_with_warm_starts_are_its_own() -> None:
    """Else it would draw the random trials of the study that they came from once more."""
    assert derive_seed(0, 7) == 368560125  # as it was before there were warm starts
    some, others = [{"dim": 16, "lr": 0.1}], [{"dim": 16, "lr": 0.2}]
    assert len({derive_seed(0, 7, starts) for starts in ([], some, others)}) == 3
    assert derive_seed(0, 7, some) == derive_seed(0, 7, [{"lr": 0.1, "dim": 16.0}])  # as stored
    for name in ("random", "tpe"):
        config = study_config(sampler={"name": name})
        drawn = [_first_of(c) for c in (config, config.model_copy(update={"warm_starts": some}))]
        assert drawn[0] != drawn[1]


def _first_of(config: StudyConfig) -> float:
    study = optuna.create_study(sampler=make_sampler(config, 0))
    return study.ask().suggest_float("lr", 0, 1)


def test_defaults_and_warm_starts_start_again_on_other_data(tmp_path: Path) -> None:
    storage, config = open_storage(url(tmp_path)), study_config(warm_starts=[{"dim": 16}])
    study, record = open_study(storage, "s", study_record(config))
    ledger = Ledger(study, record.config)
    for _ in range(2):
        completed(ledger, 0.2)
    for _ in range(2):
        other = study_record(config, fingerprint="data-2")
        study, record = open_study(storage, "s", other, accept_changes=True)
        assert [trial.system_attrs["fixed_params"]["dim"] for trial in study.trials[2:]] == [8, 16]
    ledger = Ledger(study, record.config)
    assert ledger.n_comparable() == 0
    assert default_candidate(study) is None
    completed(ledger, 0.3)
    default, row = default_candidate(study), default_trial(comparable(record, read_trials(study)))
    assert default is not None
    assert row is not None
    assert (default.trial, default.value) == (row.number, row.value) == (2, 0.3)
    assert row.is_default

"""Two real studies side by side in the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.compare import main
from hpo.errors import StudyError
from hpo.execution.ledger import Ledger
from hpo.reporting.study_comparison import read_compared_study, warnings
from hpo.study.lifecycle import store_infeasible
from hpo.study.records import Outcome, StudyRecord
from hpo.study.storage import open_storage
from tests.support.examples import conveyor
from tests.support.real_study import RealStudy, write_csv
from tests.support.scripted import (
    ScriptedRunner,
    epoch_result,
    make_ledger,
    make_study,
    study_config,
)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def row(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"│ {name} ")]
    return [cell.strip() for cell in line.strip("│").split("│")][1:]


@pytest.mark.usefixtures("wide")
def test_two_real_studies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = RealStudy(tmp_path)
    studies = [real.train("one", 4, seed=1), real.train("two", 3, seed=2)]
    assert main(["one", "two", "--storage", real.locations.storage]) == 0
    out = capsys.readouterr().out
    assert "warning" not in out
    fingerprint = StudyRecord.of(studies[0]).split_fingerprint
    assert row(out, "data and split") == [fingerprint, fingerprint]
    assert row(out, "best recall_at_10") == [f"{study.best_value:.4f}" for study in studies]
    assert "about the better study" in out
    assert row(out, "best trial") == [str(study.best_trial.number) for study in studies]
    assert row(out, "complete") == ["4", "3"]
    seconds = [
        sum(Outcome(**t.user_attrs["hpo:outcome"]).seconds for t in s.trials) for s in studies
    ]
    assert row(out, "seconds of training") == [f"{total:,.1f}" for total in seconds]
    assert row(out, "lr") == [f"{study.best_params['lr']:.4g}" for study in studies]
    best = [max(trial.value or 0 for trial in study.trials[:3]) for study in studies]
    assert row(out, "after 3 trials") == [f"{value:.4f}" for value in best]
    shorter = seconds.index(min(seconds))
    values = row(out, f"after {min(seconds):.3g} s of training")
    assert values[shorter] == f"{studies[shorter].best_value:.4f}"


@pytest.mark.usefixtures("wide")
def test_other_data_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = RealStudy(tmp_path)
    real.train("one", 1)
    real.data = tmp_path / "other.csv"
    write_csv(real.data, conveyor(n_users=50))
    real.train("two", 1)
    assert main(["one", "two", "--storage", real.locations.storage]) == 0
    assert "the values cannot be compared" in capsys.readouterr().out


@pytest.mark.usefixtures("wide")
def test_other_objectives_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = RealStudy(tmp_path)
    studies = [real.train("one", 1), real.train("two", 1, objective="mrr")]
    assert main(["one", "two", "--storage", real.locations.storage]) == 0
    out = capsys.readouterr().out
    assert "different objectives (recall_at_10; mrr): the values cannot be compared" in out
    assert row(out, "objective") == ["recall_at_10", "mrr"]
    assert row(out, "best objective") == [f"{study.best_value:.4f}" for study in studies]
    assert "about the better" not in out


@pytest.mark.usefixtures("wide")
def test_pruned_failed_and_nothing_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = study_config(name="full", base={"dim": 8, "lr": 0.01, "epochs": 4})
    study = make_study(tmp_path, config)
    ledger, runner = Ledger(study, config), ScriptedRunner()
    for ending in ("complete", "prune", "complete", "fail"):
        assignment = ledger.start("inline", 1)
        for result in runner.epochs(assignment.config):
            ledger.report(assignment, result)
        if ending == "fail":
            ledger.fail(assignment, assignment.outcome("error", "KeyError: 'x'"))
        else:
            getattr(ledger, ending)(assignment)
    make_study(
        tmp_path, study_config(name="empty", base={"dim": 16, "lr": 0.01, "temperature": 0.2})
    )
    storage = f"sqlite:///{(tmp_path / 'optuna.db').as_posix()}"
    assert main(["full", "empty", "--storage", storage]) == 0
    out = capsys.readouterr().out
    assert [row(out, state) for state in ("complete", "pruned", "failed")] == [
        ["2", "0"], ["1", "0"], ["1", "0"],
    ]  # fmt: skip
    assert row(out, "best recall_at_10")[1] == "none"
    assert row(out, "temperature")[1] == "0.2 (fixed)"
    assert "so far" not in out

    side = read_compared_study(open_storage(storage), "full")
    assert [trial.number for trial in side.finished] == [0, 1, 2]
    first = side.trials[0].score
    assert side.after_trials(2) == first  # a pruned trial is nobody's best
    assert side.after_seconds(side.trials[0].seconds - 0.1) == float("-inf")
    assert side.after_seconds(side.trials[0].seconds) == first
    assert side.after_seconds(side.seconds) == side.best.score if side.best else None
    assert warnings(side, side) == []


@pytest.mark.usefixtures("wide")
def test_what_cannot_win_costs_as_much(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The best two of three trials break a constraint: their trainings were paid all the same."""
    config = study_config(name="tight", base={"dim": 8, "lr": 0.01, "epochs": 4})
    study = make_study(tmp_path, config)
    ledger, runner = Ledger(study, config), ScriptedRunner()
    for _ in range(3):
        assignment = ledger.start("inline", 1)
        for result in runner.epochs(assignment.config):
            ledger.report(assignment, result)
        ledger.complete(assignment)
    storage = f"sqlite:///{(tmp_path / 'optuna.db').as_posix()}"
    free = read_compared_study(open_storage(storage), "tight")
    store_infeasible(study, StudyRecord.of(study), (0, 2))
    side = read_compared_study(open_storage(storage), "tight")
    assert [trial.number for trial in side.finished] == [0, 1, 2]
    assert side.seconds == free.seconds > 0
    assert (side.after_trials(1), side.after_seconds(0.0)) == (float("-inf"),) * 2
    assert side.after_trials(2) == side.after_trials(3) == study.trials[1].value
    assert side.after_seconds(free.trials[0].seconds) == float("-inf")
    make_study(tmp_path, study_config(name="empty"))
    assert main(["tight", "empty", "--storage", storage]) == 0
    out = capsys.readouterr().out
    assert row(out, "complete") == ["1", "0"]
    assert row(out, "complete, cannot win") == ["2", "0"]
    assert row(out, "best trial") == ["1", "none"]


def test_names_that_do_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_study(tmp_path, study_config())
    storage = f"sqlite:///{(tmp_path / 'optuna.db').as_posix()}"
    with pytest.raises(StudyError, match="no study 'nobody' here; there are: small"):
        main(["small", "nobody", "--storage", storage])
    with pytest.raises(SystemExit) as caught:
        main(["small", "small", "--storage", storage, "--study-name", "small"])
    assert caught.value.code == 2
    assert "unrecognized arguments: --study-name" in capsys.readouterr().err


@pytest.mark.usefixtures("wide")
def test_other_models_are_compared_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = {"trainable": "tests.support.own_model:Popular", "base": {"epochs": 2}}
    noise = {"noise": {"low": 0.0, "high": 0.5}}
    for config in (study_config(name="one"), study_config(name="two", **own, space=noise)):
        ledger = make_ledger(tmp_path, config)
        assignment = ledger.start("scripted", 1)
        ledger.report(assignment, epoch_result(1, 0.1))
        ledger.complete(assignment)
    assert main(["one", "two", "--storage", f"sqlite:///{tmp_path.as_posix()}/optuna.db"]) == 0
    out = capsys.readouterr().out
    assert row(out, "noise")[0] == "-"
    assert row(out, "dim")[1] == "-"

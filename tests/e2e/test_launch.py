"""hpo.run from the outside: real processes, real files, real kills."""

from __future__ import annotations

import signal
import sys
import warnings
from collections import Counter
from pathlib import Path

import psutil
import pytest

from hpo.execution.launcher import quieten_optuna
from hpo.run import main
from hpo.search.samplers import make_sampler
from hpo.study.records import Attempt, Outcome, StudyRecord, epochs_of
from recsys.errors import RecsysError
from tests.conftest import FORK
from tests.support.commands import (
    finish,
    in_mid_training,
    run,
    shop,
    split_shop,
    start,
    storage_in,
    study_file,
    study_in,
)
from tests.support.scripted import SPACE, study_config

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def states(folder: Path) -> Counter[str]:
    return Counter(trial.state.name for trial in study_in(folder).trials)


def arguments(folder: Path, *extra: object, **study: object) -> list[object]:
    data, study_toml = shop(folder), study_file(folder, **study)  # type: ignore[arg-type]
    return ["--data", data, "--study", study_toml, "--no-tracking", "--no-report", *extra]


def test_run_again_and_more(tmp_path: Path) -> None:
    call = arguments(tmp_path, "--workers", 2, n_trials=4)
    code, out, err = run("hpo.run", *call, cwd=tmp_path)
    columns = "columns: user 'user_id', item 'item_id', time 'timestamp'; times from 1970-01-01 to"
    assert (code, err) == (0, f"{columns} 1970-01-01\n")
    assert "4 of 4 trials finished (4 complete)" in out
    assert "python -m hpo.promote --study-name tiny-interactions" in out
    assert "popularity" in out
    assert states(tmp_path) == Counter(COMPLETE=4)
    record = StudyRecord.of(study_in(tmp_path))
    assert record.counts["n_items"] == 30
    assert Path(record.config.data.source).is_absolute()

    code, out, err = run("hpo.run", *call, cwd=tmp_path)
    assert code == 0
    assert "already complete: 4 trials" in out

    code, out, err = run("hpo.run", *call, "--n-trials", 6, cwd=tmp_path)
    assert code == 0
    assert "continues after 4 of 6" in out
    assert states(tmp_path) == Counter(COMPLETE=6)


def test_a_ready_made_split_and_a_sample_of_users(tmp_path: Path) -> None:
    call = ["--data", split_shop(tmp_path), "--study", study_file(tmp_path), "--no-tracking"]
    call += ["--no-report"]
    code, out, err = run("hpo.run", *call, "--eval-users", 20, cwd=tmp_path)
    assert code == 0
    assert "ready-made split: 600 train, 0 validation and 120 test rows; dropped 0" in err
    assert "480 train, 120 validation and 120 test rows" in out
    assert "validation, best trial: 20 of 60 users are asked, drawn at random: recall_at_10" in out
    split = StudyRecord.of(study_in(tmp_path)).config.split
    assert (split.method, split.eval_users) == ("given", 20)
    code, out, err = run("hpo.run", *call, "--split", "leave-one-out", cwd=tmp_path)
    assert code == 2
    assert "cannot be continued" in err
    assert "data or split" in err
    assert "split.method: was 'given', is 'leave-one-out'" in err


def test_two_runs_with_one_worker_are_the_same_study(tmp_path: Path) -> None:
    tables = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        call = arguments(tmp_path / name, "--workers", 1, "--seed", 7)
        assert run("hpo.run", *call, cwd=tmp_path / name)[0] == 0
        trials = study_in(tmp_path / name).trials
        tables.append([(t.params, t.value, t.intermediate_values) for t in trials])
    assert tables[0] == tables[1]


def test_a_killed_worker_costs_one_failed_trial(tmp_path: Path) -> None:
    call = arguments(tmp_path, "--workers", 2, epochs=200, n_trials=4)
    process = start("hpo.run", *call, cwd=tmp_path)
    with in_mid_training(process, storage_in(tmp_path)) as workers:
        workers[0].kill()
    code, out, _ = finish(process)
    assert code == 0
    assert states(tmp_path) == Counter(COMPLETE=4, FAIL=1)
    (failed,) = [t for t in study_in(tmp_path).trials if t.state.name == "FAIL"]
    outcome = Outcome.of(failed)
    assert outcome is not None
    assert outcome.cause == "worker-died"
    assert "1 x worker-died" in out
    again = [t for t in study_in(tmp_path).trials if (a := Attempt.of(t)) and a.number == 2]
    assert [trial.params for trial in again] == [failed.params]


def test_a_killed_launcher_leaves_no_worker_and_the_next_run_repairs(tmp_path: Path) -> None:
    call = arguments(tmp_path, "--workers", 2, epochs=200, n_trials=4)
    process = start("hpo.run", *call, cwd=tmp_path)
    with in_mid_training(process, storage_in(tmp_path)) as workers:
        process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    assert states(tmp_path)["RUNNING"] >= 1

    code, out, _ = run("hpo.run", *call, cwd=tmp_path)
    assert code == 0
    assert "a launcher died and left" in out
    counts = states(tmp_path)
    assert counts["COMPLETE"] == 4
    assert set(counts) == {"COMPLETE", "FAIL"}


@posix
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_parks_the_running_trials_and_they_go_on(
    tmp_path: Path, number: int, expected: int
) -> None:
    n_epochs = 400  # a second on a fast machine
    call = arguments(tmp_path, "--workers", 2, epochs=n_epochs, n_trials=3)
    process = start("hpo.run", *call, cwd=tmp_path)
    with in_mid_training(process, storage_in(tmp_path)):
        process.send_signal(number)
    code, out, err = finish(process)
    assert code == expected, err
    assert "press Ctrl-C again" in out
    assert "Run the same command again" in out
    before = states(tmp_path)
    assert set(before) <= {"COMPLETE", "WAITING"}
    parked = [t for t in study_in(tmp_path).trials if t.intermediate_values and not t.values]
    files = [path.name for path in (tmp_path / "studies/parked").rglob("trial-*")]
    assert sorted(files) == sorted(f"trial-{trial.number}.safetensors" for trial in parked)
    assert parked

    code, out, err = run("hpo.run", *call, cwd=tmp_path)
    assert code == 0, err
    assert states(tmp_path) == Counter(COMPLETE=3)
    for trial in parked:
        whole = study_in(tmp_path).trials[trial.number].intermediate_values
        assert list(whole) == list(range(1, n_epochs + 1))
        assert trial.intermediate_values.items() <= whole.items()
        stored = epochs_of(study_in(tmp_path).trials[trial.number])
        assert stored["epoch"] == list(whole)
    assert not list((tmp_path / "studies/parked").rglob("trial-*"))


@pytest.mark.new_interpreters
@posix
@pytest.mark.parametrize("signals", [(signal.SIGINT, signal.SIGINT)])
def test_a_second_signal_leaves_nothing_running(tmp_path: Path, signals: tuple[int, ...]) -> None:
    call = arguments(tmp_path, "--workers", 2, epochs=5000, n_trials=50)
    process = start("hpo.run", *call, cwd=tmp_path)
    with in_mid_training(process, storage_in(tmp_path)):
        pass
    assert process.stdout is not None
    for number in signals:  # the second only after the first was heard: equal signals merge
        process.send_signal(number)
        if number == signal.SIGINT:
            heard = iter(process.stdout.readline, "")
            next((line for line in heard if "press Ctrl-C again" in line), None)
    code, _, _ = finish(process)
    assert code == (143 if signals == (signal.SIGTERM,) else 130)
    assert set(states(tmp_path)) <= {"FAIL", "WAITING"}
    causes = {o.cause for t in study_in(tmp_path).trials if (o := Outcome.of(t))}
    assert causes <= {"interrupted"}  # none if parking was faster than the second signal


def test_the_timeout_ends_a_long_training_and_the_next_run_goes_on_with_it(tmp_path: Path) -> None:
    seconds = 4 if FORK else 8  # a new interpreter takes seconds to its first epoch
    call = arguments(tmp_path, "--workers", 1, "--timeout", seconds, epochs=10_000, n_trials=9)
    n_epochs = 0
    for _ in range(2):
        code, out, err = run("hpo.run", *call, cwd=tmp_path)
        assert code == 0, out + err
        assert "0 of 9 trials finished" in out
        assert "Run the same command again to go on" in out
        (trial,) = [t for t in study_in(tmp_path).trials if t.intermediate_values]
        assert trial.state.name == "WAITING"
        assert len(trial.intermediate_values) > n_epochs
        n_epochs = len(trial.intermediate_values)


def test_other_data_under_the_same_name_is_refused(tmp_path: Path) -> None:
    call = arguments(tmp_path, n_trials=2)
    assert run("hpo.run", *call, cwd=tmp_path)[0] == 0
    path = tmp_path / "interactions.csv"
    path.write_text(path.read_text() + "u1,i29,99\n")
    code, _, err = run("hpo.run", *call, cwd=tmp_path)
    assert code == 2
    assert "cannot be continued" in err
    assert "--study-name tiny-interactions-2" in err


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (["--n-trials", "0"], "--n-trials 0: must be at least 1"),
        (["--data", "nowhere/"], "nowhere"),
        (["--study", "none.toml"], "no such study file"),
        (["--storage", "optuna.db"], "no database URL"),
        (["--user-col", "buyer"], "buyer"),
        (["--device", "tpu9"], "tpu9"),
        (["--device", "meta"], "--device meta: cannot be used here (models train on cpu, cuda,"),
        (["--workers", "0"], "--workers 0: must be"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: list[str], expected: str
) -> None:
    call = [str(argument) for argument in (*arguments(tmp_path), *extra)]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecsysError) as caught:
        main(call)
    assert caught.value.exit_code == 2
    assert expected in str(caught.value)
    assert not (tmp_path / "studies").exists()


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes", "qmc", "random"])
def test_no_sampler_is_called_experimental(name: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quieten_optuna()
        when = {"dim": {"low": 8, "high": 16, "when": {"epochs": [2, 3]}}}
        make_sampler(study_config(sampler={"name": name}, space={**SPACE, **when}), 0)
    assert caught == []


def test_an_mlflow_that_is_left_out_may_be_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.execution.launcher.launch", lambda request: int(request.tracking))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "foo")
    call = [str(argument) for argument in arguments(tmp_path)]
    assert main(call) == 0
    with pytest.raises(RecsysError, match="tracking URI 'foo': MLflow keeps no runs in folders"):
        main([word for word in call if word != "--no-tracking"])


def test_a_winner_cannot_be_registered_where_mlflow_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments(tmp_path, "--promote")])
    assert caught.value.code == 2
    assert "--promote writes into MLflow, --no-tracking does not" in capsys.readouterr().err


def test_bad_input_ends_with_a_message_and_code_2(tmp_path: Path) -> None:
    code, out, err = run("hpo.run", *arguments(tmp_path), "--data", "none.csv", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "none.csv" in err
    assert "Traceback" not in err

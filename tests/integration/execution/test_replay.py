"""Same seed, same study; a stored trial trained again gives the same numbers and weights."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from optuna import Study
from optuna.trial import Trial, TrialState, create_trial

from hpo import replay
from hpo.errors import StudyError
from hpo.study.records import (
    ATTEMPT,
    EPOCHS,
    OUTCOME,
    STUDY,
    Attempt,
    StudyRecord,
    epochs_of,
    epochs_to_columns,
)
from hpo.study.replayer import trial_to_replay
from recsys.errors import CheckpointError
from tests.support.commands import run, shop, study_file, study_in
from tests.support.scripted import epoch_result, make_study, study_config

Columns = dict[str, list[float]]
FILES = ("weights.safetensors", "history.safetensors", "user_vecs.npy", "item_vecs.npy")


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, str]]:
    """Two folders with the same study, and what each run said."""
    found = []
    for name in ("one", "two"):
        folder = tmp_path_factory.mktemp(name)
        data = shop(folder)
        code, out, err = run(
            "hpo.run", "--study", study_file(folder, pruner="median"), "--data", data,
            "--workers", 1, "--seed", 7, "--n-trials", 8, "--no-tracking", "--json", cwd=folder,
        )  # fmt: skip
        assert code == 0, err
        found.append((folder, out))
    return found


def test_two_runs_with_one_worker_are_equal(twins: list[tuple[Path, str]]) -> None:
    one, two = (study_in(folder).trials for folder, _ in twins)
    assert [(t.state, t.params, t.value) for t in one] == [
        (t.state, t.params, t.value) for t in two
    ]
    assert [epochs_of(t)["train_loss"] for t in one] == [epochs_of(t)["train_loss"] for t in two]


def test_a_replay_gives_the_same_numbers_and_weights(
    twins: list[tuple[Path, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for folder, _ in twins:
        monkeypatch.chdir(folder)
        for number in (0, 3, 7):
            call = ["--trial", str(number), "--artifacts", f"model-{number}"]
            assert replay.main(call) == 0
            assert "bit for bit" in capsys.readouterr().out
    (one, _), (two, _) = twins
    for number in (0, 3, 7):
        for name in FILES:
            path = Path(f"model-{number}") / name
            assert (one / path).read_bytes() == (two / path).read_bytes(), path


def copy_of_the_first(study: Study, change: Callable[[Columns], Columns]) -> Trial:
    """A trial that runs, with the parameters and records of trial 0, its epochs changed."""
    first = study.trials[0]
    study.enqueue_trial(first.params)
    copy = study.ask()
    for name, distribution in first.distributions.items():
        copy._suggest(name, distribution)
    for name, value in first.user_attrs.items():
        copy.set_user_attr(name, change(value) if "epoch" in value else value)
    return copy


def test_a_pruned_trial_is_replayed_for_the_epochs_that_it_had(
    twins: list[tuple[Path, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    folder, _ = twins[0]
    monkeypatch.chdir(folder)
    study = study_in(folder)
    short = copy_of_the_first(study, lambda epochs: {key: of[:1] for key, of in epochs.items()})
    study.tell(short, state=TrialState.PRUNED)
    assert replay.main(["--trial", str(short.number), "--artifacts", "short"]) == 0
    assert "the same: 1 epoch, bit for bit" in capsys.readouterr().out
    assert json.loads(Path("short/model_meta.json").read_text())["best_epoch"] == 1


def test_five_random_trials_of_two_workers_are_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    code, _, err = run(
        "hpo.run", "--study", study_file(tmp_path, pruner="median"), "--data", shop(tmp_path),
        "--workers", 2, "--n-trials", 10, "--no-tracking", "--no-report", cwd=tmp_path,
    )  # fmt: skip
    assert code == 0, err
    monkeypatch.chdir(tmp_path)
    trained = [t.number for t in study_in(tmp_path).trials if t.user_attrs[OUTCOME]["best_epoch"]]
    for number in random.Random(0).sample(trained, 5):
        assert replay.main(["--trial", str(number)]) == 0
        assert "bit for bit" in capsys.readouterr().out


def test_a_number_that_differs_is_told(
    twins: list[tuple[Path, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    folder, _ = twins[1]
    monkeypatch.chdir(folder)
    study = study_in(folder)
    lied = copy_of_the_first(
        study, lambda epochs: {**epochs, "recall_at_10": [0.5] * len(epochs["epoch"])}
    )
    study.tell(lied, 0.5)
    assert replay.main(["--trial", str(lied.number)]) == 1
    assert "epoch 1 differs" in capsys.readouterr().out
    with pytest.raises(StudyError, match="no trial 99"):
        replay.main(["--trial", "99"])


def test_what_is_in_the_way_of_the_model_is_told_before_the_training(
    twins: list[tuple[Path, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    folder, _ = twins[0]
    monkeypatch.chdir(folder)
    Path("taken").write_text("")
    with pytest.raises(CheckpointError, match="taken: cannot be written"):
        replay.main(["--trial", "0", "--artifacts", "taken"])
    assert "epoch" not in capsys.readouterr().out


def test_a_long_training_that_is_the_same_is_told_in_few_lines(
    twins: list[tuple[Path, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    folder, _ = twins[0]
    monkeypatch.chdir(folder)
    monkeypatch.setattr("hpo.study.replayer.SAID", 1)
    assert replay.main(["--trial", "0"]) == 0
    assert capsys.readouterr().out.count("stored 0.") == 1


def test_a_trial_that_was_told_again_is_replayed_as_the_training_it_is_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    toml = Path(study_file(tmp_path, pruner="none"))
    toml.write_text(
        toml.read_text().partition("[space]")[0] + "[space]\ndim = { choices = [4, 8] }\n"
    )
    code, _, err = run(
        "hpo.run", "--study", toml, "--data", shop(tmp_path), "--workers", 1, "--n-trials", 3,
        "--no-tracking", "--no-report", cwd=tmp_path,
    )  # fmt: skip
    assert code == 0, err
    trials = study_in(tmp_path).trials
    again = next(t for t in trials if t.user_attrs[OUTCOME]["same_as"] is not None)
    first = trials[again.user_attrs[OUTCOME]["same_as"]]
    assert again.user_attrs[ATTEMPT]["seed"] == first.user_attrs[ATTEMPT]["seed"]
    monkeypatch.chdir(tmp_path)
    assert replay.main(["--trial", str(again.number)]) == 0
    assert "bit for bit" in capsys.readouterr().out


def test_a_trial_of_data_that_is_gone_is_not_replayed(
    twins: list[tuple[Path, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = twins[0]
    study = study_in(folder)
    record = StudyRecord.of(study)
    note = {"trial": 5, "other_data": True, "what": ["data"]}
    monkeypatch.chdir(folder)
    study.set_user_attr(STUDY, replace(record, changes=(note,)).to_json())
    try:
        with pytest.raises(StudyError, match="trial 3 was trained on data that the study no long"):
            replay.main(["--trial", "3"])
    finally:
        study.set_user_attr(STUDY, record.to_json())


def test_a_device_that_is_not_here_is_named(tmp_path: Path) -> None:
    study = make_study(tmp_path, study_config())
    attempt = Attempt(1, 0, seed=0, threads=1, runner="process", device="cuda:99")
    epochs = epochs_to_columns([epoch_result(1, 0.5)], [0])
    study.add_trial(
        create_trial(value=0.5, user_attrs={ATTEMPT: attempt.as_dict(), EPOCHS: epochs})
    )
    number = len(study.trials) - 1
    with pytest.raises(StudyError, match=f"trial {number} was trained on the device cuda:99: can"):
        trial_to_replay(study, number)


def test_json_tells_all_that_happens(twins: list[tuple[Path, str]]) -> None:
    folder, out = twins[0]
    events = [json.loads(line) for line in out.splitlines()]
    counts = Counter(event["event"] for event in events)
    assert counts["started"] == counts["ended"] == 8
    trials = study_in(folder).trials
    assert counts["epoch"] == sum(len(trial.intermediate_values) for trial in trials)
    best = max(trials, key=lambda t: (t.state.name == "COMPLETE", t.value or 0, -t.number))
    assert events[-1] == {
        "event": "finished", "study": study_in(folder).study_name, "objective": "recall_at_10",
        "reason": "complete",
        "n_finished": 8, "n_trials": 8,
        "best": {"trial": best.number, "value": best.value, "params": best.params},
    }  # fmt: skip

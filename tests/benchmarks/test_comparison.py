"""The comparison with peers: what a cell may spend, asks of test, and leaves in RESULTS.md."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import quality
import torch
from comparison import ours
from comparison.cases import CASES, digest
from comparison.report import write_report
from comparison.store import Store
from comparison.tuning import Budget
from optuna.trial import TrialState

from hpo.study.candidates import REFIT
from hpo.study.records import EPOCHS
from recsys.config import TrainConfig
from recsys.data.interactions import Interactions
from recsys.data.splitting import Holdout, split
from recsys.datasets.demo import demo_dataset
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from recsys.evaluation.metrics import STANDARD, UserMetrics
from recsys.training.fit import train
from tests.support.fake_study import FakeStudy, locations
from tests.support.paths import ROOT

RESULTS = ROOT / "benchmarks" / "results"
CASE, NEXT = CASES["ml-100k"], CASES["ml-100k-next"]
NAME = "two_tower-ml-100k"
WINNER = {**TrainConfig(dim=8).as_dict(), "refit_epochs": 2}


@pytest.fixture
def study(tmp_path: Path) -> FakeStudy:
    """A study in the cache of the benchmark, whose epochs take a tenth of a second."""
    places = locations(tmp_path)
    return FakeStudy(replace(places, storage=f"sqlite:///{tmp_path}/ours.db"), name=NAME)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The calls of hpo.run, none of which is made; the race is won by nobody."""
    calls: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: calls.append(command))
    monkeypatch.setattr(ours, "_winner", lambda _: None)
    return calls


def limit(command: list[str]) -> float:
    return float(command[command.index("--timeout") + 1])


def test_a_study_that_was_interrupted_gets_the_rest_of_its_time(
    study: FakeStudy, commands: list[list[str]], tmp_path: Path
) -> None:
    study.run(TrialState.COMPLETE, n_epochs=20)
    study.run(TrialState.FAIL, n_epochs=10, cause="worker-died")
    parked = study.start()
    study.train(parked, 30)
    study.park(parked)
    found = ours.run_study(CASE, tmp_path, "two_tower.toml", Budget(50, 9.0), tmp_path)
    assert limit(commands[0]) == pytest.approx(9.0 - 6.0)
    assert found.trials == 1


def test_the_time_between_two_calls_does_not_count(study: FakeStudy) -> None:
    parked = study.start()
    study.train(parked, 10)
    columns = study.study.get_trials()[0].user_attrs[EPOCHS]
    night = [ms + (10**8 if place > 4 else 0) for place, ms in enumerate(columns["time_ms"])]
    parked.set_user_attr(EPOCHS, {**columns, "time_ms": night})
    assert ours.wall_seconds(study.study) == pytest.approx(1.0)


def test_a_study_whose_time_is_over_is_not_called_again(
    study: FakeStudy, commands: list[list[str]], tmp_path: Path
) -> None:
    study.run(TrialState.PRUNED, n_epochs=20)
    study.run(TrialState.COMPLETE, n_epochs=20)
    found = ours.run_study(CASE, tmp_path, "two_tower.toml", Budget(50, 4.0), tmp_path)
    assert (commands, found.trials) == ([], 2)


def options(folder: Path, **given: Any) -> argparse.Namespace:
    flags = ["--all", "--results", str(folder / "results"), "--cache", str(folder)]
    return argparse.Namespace(**vars(quality.parser().parse_args(flags)) | given)


@pytest.fixture
def cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> quality.Cell:
    """Ours on demo, tuned before and not tested; a study would be called in vain."""
    parts = split(demo_dataset().interactions)
    monkeypatch.setattr(quality, "_split", lambda *_: parts)

    def refuse(*_: object) -> None:
        raise AssertionError("the study was called again")

    monkeypatch.setattr(ours, "run_study", refuse)
    monkeypatch.setattr(quality, "source", lambda *_: tmp_path)
    store = Store(tmp_path / "results", tmp_path)
    tuned = {
        "case": CASE.name, "model": "ours", "digest": digest(parts), "params": WINNER,
        "when": "2026-11-30T00:00:00+00:00",
    }  # fmt: skip
    store.add("tuned", tuned)
    return quality.Cell(CASE, "ours", store, options(tmp_path, seeds=2))


def test_what_was_tuned_is_tested_without_another_study(cell: quality.Cell) -> None:
    cell.run()
    tested = cell.store.records("tested")[CASE.name, "ours"]
    assert len(tested["seeds"]) == 2
    assert 0 < tested["test"]["recall_at_10"] < 1
    assert len(cell.store.records("tuned")) == 1


def test_the_next_item_is_tested_with_weights_from_train_only_as_well(
    cell: quality.Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = split(demo_dataset().interactions)
    asked: list[tuple[Interactions | None, int]] = []

    def measured(
        params: object, question: Holdout, seed: int, seen: Interactions | None
    ) -> tuple[UserMetrics, float]:
        assert question.relevant is parts.final.relevant
        asked.append((seen, seed))
        return figures(seed)[0], 1.0

    monkeypatch.setattr(quality, "_split", lambda *_: parts)
    monkeypatch.setattr(ours, "train_and_test", measured)
    tuned = cell.store.records("tuned")[CASE.name, "ours"]
    cell.store.add("tuned", {**tuned, "case": NEXT.name})
    replace(cell, case=NEXT).run()
    replace(cell, case=NEXT).run()  # finished: asks nothing
    assert asked == [(None, 0), (None, 1), (parts.tuning.seen, 0), (parts.tuning.seen, 1)]
    kinds = {kind: set(cell.store.records(kind)) for kind in ("tested", "train-only")}
    later = cell.store.records("tested")[NEXT.name, "ours"]["when"]
    assert kinds == {"tested": {(NEXT.name, "ours")}, "train-only": {(NEXT.name, "ours")}}
    (cell.store.folder / "train-only.jsonl").unlink()
    replace(cell, case=NEXT).run()
    assert asked[4:] == asked[2:4]  # what lacks alone
    cell.store.add("tuned", {**tuned, "case": NEXT.name, "when": f"{later}, and later"})
    replace(cell, case=NEXT).run()  # tuned again: the tests are of other parameters
    assert asked[6:] == asked[:4]


def test_weights_from_train_only_know_nothing_of_validation() -> None:
    parts = split(demo_dataset().interactions)
    briefly = {**WINNER, "refit_epochs": REFIT}
    found = [
        ours.train_and_test(briefly, parts.final, 0, seen)[0].mean().recall_at_10
        for seen in (None, parts.tuning.seen)
    ]
    config = TrainConfig(dim=8, seed=0)
    model = train(parts.tuning.seen, config, 1, torch.device("cpu"))
    wanted = Evaluator(parts.final, torch.device("cpu")).evaluate(
        TowerScorer(model, parts.final.seen)
    )
    assert found[1] == wanted.mean().recall_at_10 != found[0]


def test_a_study_of_the_next_item_is_split_so(
    study: FakeStudy, commands: list[list[str]], tmp_path: Path
) -> None:
    study.run(TrialState.COMPLETE, n_epochs=20)
    for next_item, split_options in ((False, []), (True, ["--split", "leave-one-out"])):
        case = replace(CASE, next_item=next_item)
        ours.run_study(case, tmp_path, "two_tower.toml", Budget(50, 9.0), tmp_path)
        command = commands.pop()
        start = command.index("--split") if "--split" in command else len(command)
        assert command[start : start + 2] == split_options


def test_a_row_of_before_a_hyperparameter_is_trained_as_it_was(
    cell: quality.Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[TrainConfig, int, int]] = []

    def train(
        seen: object, config: TrainConfig, epochs: int, device: object, *, teachers: int
    ) -> None:
        trained.append((config, epochs, teachers))
        raise InterruptedError

    monkeypatch.setattr(ours, "train", train)
    old = {name: value for name, value in WINNER.items() if name != "neighbour_weight"}
    with pytest.raises(InterruptedError):
        ours.train_and_test(old, split(demo_dataset().interactions).final, 3)
    assert trained == [(TrainConfig(dim=8, neighbour_weight=0.0, seed=3), 2, 0)]


def test_all_leaves_out_data_that_are_not_here_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = options(tmp_path, data_root=tmp_path, model=["popularity"])
    asked.data = ["hetrec-lastfm", "online-retail-ii"]
    quality.run_all(quality.cells(asked), named=False)
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(": there")[0] for line in told] == [
        f"{name} popularity: left out: {name}" for name in asked.data
    ]
    with pytest.raises(SystemExit, match="there is no"):
        quality.run_all(quality.cells(asked), named=True)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A copy of RESULTS.md beside its results."""
    shutil.copytree(RESULTS, tmp_path / "results", ignore=shutil.ignore_patterns("curves"))
    return Path(shutil.copy(RESULTS.parent / "RESULTS.md", tmp_path))


def test_a_report_on_another_machine_keeps_every_interval(report: Path, tmp_path: Path) -> None:
    before = report.read_text(encoding="utf-8")
    write_report(Store(tmp_path / "results", tmp_path / "empty"), report)
    assert report.read_text(encoding="utf-8") == before


def test_the_peers_figures_in_the_documents_are_stored() -> None:
    page = (ROOT / "docs/model.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    shown = {tuple(row[1:]) for row in rows[1:] if "two-tower" not in row[0]}
    tuned, tested = (Store(RESULTS, RESULTS).records(kind) for kind in ("tuned", "tested"))
    stored = set()
    for key, record in tested.items():
        if key[0] != "ml-100k":
            continue
        trials = str(tuned[key]["trials"]) if tuned[key]["tunable"] else "-"
        values = (record["test"][name] for name in ("recall_at_10", "ndcg_at_10"))
        stored.add((trials, *(f"{value:.3f}" for value in values)))
    assert len(shown) == 8
    assert shown <= stored


def figures(seed: int) -> list[UserMetrics]:
    values = np.random.default_rng(seed).random((len(STANDARD), 300))
    return [UserMetrics(np.arange(300), dict(zip(STANDARD, values, strict=True)))]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Store]:
    """Ours and one peer on one data set, tuned and tested."""
    store = Store(tmp_path / "small", tmp_path / "cache")
    for place, name in enumerate(("ours", "ease")):
        for kind in ("tuned", "tested"):
            line = Store(RESULTS, tmp_path).records(kind)["ml-100k", name]
            store.add(kind, line)
        store.keep_users("tested", "ml-100k", name, figures(place))
    return store


def interval(path: Path) -> str:
    (row,) = [line for line in path.read_text().splitlines() if line.startswith("| ease")]
    return row.split(" | ")[6]


def test_an_interval_is_stored_and_outlives_the_users_figures(pair: Store, tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    write_report(pair, path)
    told = interval(path)
    assert told.endswith("]")
    shutil.rmtree(pair.cache)
    write_report(pair, path)
    assert interval(path) == told


def test_an_interval_of_another_test_is_not_kept(pair: Store, tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    write_report(pair, path)
    told = interval(path)
    tested = pair.records("tested")["ml-100k", "ease"]
    pair.add("tested", {**tested, "when": "2027-01-01T00:00:00+00:00"})
    pair.keep_users("tested", "ml-100k", "ease", figures(7))
    write_report(pair, path)
    assert interval(path) != told
    shutil.rmtree(pair.cache)
    pair.add("tested", {**tested, "when": "2027-01-02T00:00:00+00:00"})
    write_report(pair, path)
    assert interval(path) == "users' figures are not here"


def test_weights_from_train_only_have_a_table_of_their_own(pair: Store, tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    for name, seed in (("ours", 3), ("ease", 4)):
        line = pair.records("tested")["ml-100k", name]
        pair.add("train-only", line)
        pair.keep_users("train-only", "ml-100k", name, figures(seed))
    write_report(pair, path)
    tested, _, weights = path.read_text().partition("weights from train only, as papers do it:")
    rows = [line for line in weights.splitlines() if line.startswith("| ease")]
    assert len(rows) == 1
    assert rows[0].split(" | ")[-1] not in tested
    shutil.rmtree(pair.cache)
    write_report(pair, path)
    assert rows[0] in path.read_text()


def test_a_report_lists_the_models_that_were_not_run(pair: Store, tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    write_report(pair, path)
    (line,) = [line for line in path.read_text().splitlines() if line.startswith("Not run")]
    assert line == (
        "Not run on it: popularity, itemknn, itemknn-recent, userknn, rp3beta, als, bpr, lightfm, "
        "sasrec, ours-wide."
    )

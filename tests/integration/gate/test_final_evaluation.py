"""The exam: every rival asked the same, what cannot be asked said so, costs measured."""

from __future__ import annotations

import dataclasses
import itertools
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from hpo.config.locations import Locations
from hpo.config.study_config import PromotionConfig
from hpo.errors import PromotionError
from hpo.gate import findings as gate
from hpo.gate.final_evaluation import FinalEvaluation
from hpo.gate.findings import GateFindings
from hpo.gate.race import Race, Racer
from hpo.gate.rules import judge
from hpo.gate.serving_cost import ASKED, latency_ms, stored_mb
from hpo.gate.tables import list_rows
from hpo.promotion.model_card import model_card
from hpo.registry import versions as registry
from hpo.registry.recipe import Recipe
from hpo.study.candidates import Candidate
from recsys.artifacts import checkpoint
from recsys.artifacts.mlflow_client import experiment_id, open_client
from recsys.artifacts.mlflow_run import open_run
from recsys.config import TrainConfig
from recsys.data.splitting import Split
from recsys.errors import DataError
from recsys.evaluation.bootstrap import Interval, mean_interval
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from recsys.models.baselines import BASELINES
from recsys.models.item_graph import ALPHA, BETA
from recsys.retrieval.recommender import Recommender
from recsys.training.fit import train
from tests.support import reference
from tests.support.examples import conveyor_split
from tests.support.fake_study import fake_record
from tests.support.mlflow_store import fresh_store

CPU = torch.device("cpu")
WINNER = TrainConfig(dim=8, lr=0.05, epochs=3)
USERS = torch.arange(60)
ASK_WALKS = PromotionConfig(must_beat=("rp3beta",))


def candidate(config: TrainConfig, trial: int = 4, name: str = "s") -> Candidate:
    return Candidate(fake_record(name, 5), name, trial, config, 2, 0.5, {})


@pytest.fixture(scope="module")
def parts() -> Split:
    return conveyor_split()


@pytest.fixture
def evaluation(parts: Split) -> FinalEvaluation:
    return FinalEvaluation(
        parts, train(parts.final.seen, WINNER, 3, CPU), PromotionConfig(), CPU, "recall_at_10"
    )


def test_figures_equal_brute_force(evaluation: FinalEvaluation, parts: Split) -> None:
    scores = TowerScorer(evaluation.model, parts.final.seen).scores(USERS).numpy()
    means = {name: interval.mean for name, interval in evaluation.test.items()}
    assert means == pytest.approx(reference.metrics(scores, parts.final), abs=1e-12)
    recall = evaluation.test["recall_at_10"]
    assert recall == mean_interval(evaluation.found.values["recall_at_10"])


def test_the_default_configuration_is_refit_and_never_a_gate(
    evaluation: FinalEvaluation, parts: Split
) -> None:
    other = WINNER.replace(dim=2, lr=0.01)
    evaluation.compare_with_default(candidate(other, 0), WINNER)
    (found,) = evaluation.comparisons
    model = train(parts.final.seen, other, candidate(other, 0).refit_epochs, CPU)
    theirs = reference.metrics(
        TowerScorer(model, parts.final.seen).scores(USERS).numpy(), parts.final
    )
    assert (found.name, found.need, found.n_users) == ("default (trial 0)", None, 60)
    assert found.theirs == pytest.approx(theirs["recall_at_10"])
    assert found.gain.mean == pytest.approx(found.ours - found.theirs)
    assert not evaluation.notes


def test_a_default_that_cannot_be_compared_is_said(evaluation: FinalEvaluation) -> None:
    evaluation.compare_with_default(None, WINNER)
    evaluation.compare_with_default(candidate(WINNER.replace(seed=7)), WINNER)
    evaluation.compare_with_default(candidate(WINNER.replace(lr=10, temperature=0.01)), WINNER)
    assert evaluation.notes[:2] == [
        "the default configuration has no complete trial in the study",
        "the winner is the default configuration",
    ]


def test_a_baseline_that_cannot_be_measured_is_not_replaced(
    evaluation: FinalEvaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: object) -> None:
        raise DataError("20,000 items are too many")

    monkeypatch.setitem(BASELINES, "ease", too_large)  # type: ignore[call-overload]
    evaluation.compare_with_baselines()
    needs = {found.rival: found.need for found in evaluation.comparisons}
    assert needs == {"popularity": None, "itemknn": 0.0, "rp3beta": None}
    assert evaluation.notes == ["ease was not measured: 20,000 items are too many"]
    assert evaluation.missing == {"ease": "20,000 items are too many"}


def test_all_baselines_stand_beside_it(evaluation: FinalEvaluation) -> None:
    evaluation.compare_with_baselines()
    needs = {found.rival: found.need for found in evaluation.comparisons}
    assert needs == {"popularity": None, "itemknn": 0.0, "rp3beta": None, "ease": None}


def test_random_walks_can_be_asked_by_the_gate(parts: Split) -> None:
    """The walks' figure is that of the dense formula, and the gate asks for more than it."""
    model = train(parts.final.seen, WINNER.replace(epochs=1, lr=1e-6), 1, CPU)
    evaluation = FinalEvaluation(
        model=model, split=parts, rules=ASK_WALKS, device=CPU, objective="recall_at_10"
    )
    evaluation.compare_with_baselines()
    (found,) = [found for found in evaluation.comparisons if found.rival == "rp3beta"]
    seen = parts.final.seen
    has = np.zeros((seen.n_users, seen.n_items))
    has[seen.users, seen.items] = 1
    by_hand = reference.metrics(has @ reference.walks(seen, ALPHA, BETA), parts.final)
    assert (found.need, found.theirs) == (0.0, pytest.approx(by_hand["recall_at_10"], abs=1e-12))
    reason = judge(evaluation.comparisons, ASK_WALKS, 1, 1)
    assert reason is not None
    assert reason.startswith("its gain over rp3beta is -")


def test_what_everybody_shows_stands_beside_it_at_all_cutoffs(
    evaluation: FinalEvaluation, parts: Split
) -> None:
    further = FinalEvaluation(
        parts, evaluation.model, PromotionConfig(), CPU, "recall_at_10", cutoffs=(3,)
    )
    further.compare_with_baselines()
    names = ["this model", "popularity", "itemknn", "rp3beta", "ease"]
    assert list(further.lists) == names
    assert {"recall_at_3", "ndcg_at_3"} < set(further.test)
    evaluator = Evaluator(parts.final, CPU, shown=(3,))
    scorer = BASELINES["popularity"](parts.final.seen, CPU)
    assert evaluator.evaluate(scorer).shown.items() <= further.lists["popularity"].items()
    rows = list_rows(further.lists)
    assert [row[:2] for row in rows] == [(name, k) for name in names for k in ("3", "10")]
    card = model_card(
        Recipe.of_candidate(candidate(WINNER)),
        parts,
        dataclasses.replace(findings(evaluation, 1), lists=further.lists),
        "c" * 40,
        Locations(),
    )
    assert f"| {' | '.join(rows[2])} |" in card


def test_an_answer_is_timed_after_a_first_round(evaluation: FinalEvaluation, parts: Split) -> None:
    """The clock says 1 s for each answer of the first round, then 0, 1, 2 ... ms."""
    steps = [1.0] * ASKED + [i / 1000 for i in range(ASKED)]
    times = itertools.accumulate(itertools.chain.from_iterable((0.0, step) for step in steps))
    found = latency_ms(Recommender(evaluation.model, parts.interactions), lambda: next(times))
    assert found == pytest.approx((ASKED - 1) / 2)


def test_the_size_is_that_of_the_models_files(
    evaluation: FinalEvaluation, parts: Split, tmp_path: Path
) -> None:
    checkpoint.save(tmp_path, evaluation.model, parts.interactions, {})
    (tmp_path / "notes.txt").write_text("x" * 10_000)
    files = [path for path in tmp_path.iterdir() if path.name != "notes.txt"]
    assert stored_mb(tmp_path) == sum(path.stat().st_size for path in files) / 1e6


def findings(evaluation: FinalEvaluation, n_racers: int) -> GateFindings:
    flat = Interval(0.01, -0.01, 0.03)
    racers = tuple(Racer(i, 0.2, (0.19, 0.2, 0.21), flat) for i in range(n_racers))
    comparisons = tuple(evaluation.comparisons)
    race = Race(racers, 0)
    return GateFindings(evaluation.test, comparisons, ("a note",), 1.5, 0.2, 3, "why", race)


def test_findings_survive_their_file(evaluation: FinalEvaluation) -> None:
    evaluation.compare_with_baselines()
    found = findings(evaluation, 3)
    assert gate.from_json(gate.to_json(found)) == found
    with pytest.raises(PromotionError, match=r"gate\.json of the version's run is damaged"):
        gate.from_json("{}")


def test_no_text_of_others_makes_a_card_say_more(evaluation: FinalEvaluation, parts: Split) -> None:
    """Names, notes and refusals with line breaks, headings, cells and raw HTML in them."""
    evil = "x\n\n## Gate\n\n| passed | <img src=x onerror=1> |"
    record = dataclasses.replace(fake_record("s", 5), data_name=f"# {evil}")
    recipe = Recipe.of_candidate(Candidate(record, evil, 4, WINNER, 2, 0.5, {}))
    found = dataclasses.replace(findings(evaluation, 1), notes=(evil, "~~~"), reason=evil)
    racer = Racer(0, 0.2, (0.1,), None, broken=evil)
    found = dataclasses.replace(found, race=Race((racer, Racer(1, 0.1, (0.1,), None)), 1))
    card = model_card(recipe, parts, found, "c" * 40, Locations())
    usual = model_card(
        Recipe.of_candidate(candidate(WINNER)),
        parts,
        dataclasses.replace(found, notes=("a", "b"), reason="c", race=dataclasses.replace(
            found.race, racers=(dataclasses.replace(racer, broken="d"), found.race.racers[1])
        )),
        "c" * 40,
        Locations(),
    )  # fmt: skip
    for mark in ("#", "|", "~"):
        starts = [
            [line for line in text.splitlines() if line[:1] == mark] for text in (card, usual)
        ]
        assert len(starts[0]) == len(starts[1])
    assert len(card.splitlines()) == len(usual.splitlines())
    outside_code = re.sub(r"`[^`]*`", "", card)
    assert re.search(r"(?<!\\)<img", outside_code) is None
    assert r"\# x ## Gate \| passed \| \<img" in card


def test_a_card_fits_into_mlflow(evaluation: FinalEvaluation, parts: Split, tmp_path: Path) -> None:
    evaluation.compare_with_baselines()
    winner = Recipe.of_candidate(candidate(WINNER))
    short = model_card(winner, parts, findings(evaluation, 10), "c" * 40, Locations())
    assert len(short) < registry.MAX_DESCRIPTION
    blank = Locations("sqlite:////a b/o.db", "sqlite:////a b/m.db", "my runs")
    card = model_card(winner, parts, findings(evaluation, 10), "c" * 40, blank)
    (pasted,) = re.findall("`(python -m hpo.promote .*?)`", card)
    assert shlex.split(pasted)[5:] == [
        "--storage", "sqlite:////a b/o.db", "--tracking-uri", "sqlite:////a b/m.db",
        "--experiment-name", "my runs", "--teachers", "0",
    ]  # fmt: skip
    long = model_card(winner, parts, findings(evaluation, 100), "c" * 40, Locations())
    client = open_client(fresh_store(tmp_path))
    with open_run(client, experiment_id(client, "e"), "r", {}) as run:
        model = client.create_logged_model(experiment_id(client, "e"), "m", run)
    registry.register(client, "two-tower", model.model_id, run, {}, long)
    stored = client.get_model_version("two-tower", "1").description
    assert len(stored) == registry.MAX_DESCRIPTION < len(long)
    assert stored.endswith("(cut; the whole card is model_card.md of the run)")

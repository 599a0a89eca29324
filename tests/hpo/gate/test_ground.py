"""A champion of other data: scored through ids, never helped by answers that it was told."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hpo.config.study_config import PromotionConfig
from hpo.gate.common_ground import ChampionScorer, NoCommonGround, common_ground, on_ground
from hpo.gate.final_evaluation import FinalEvaluation
from hpo.gate.rivals import Champion
from recsys.artifacts.checkpoint import Checkpoint
from recsys.data.interactions import Interactions
from recsys.data.splitting import Holdout, split
from recsys.evaluation.evaluator import Evaluator, TowerScorer
from tests.support import reference
from tests.support.examples import conveyor
from tests.support.trained import Trained, train, trained

CPU = torch.device("cpu")


def stored(model: Trained) -> Checkpoint:
    """As the registry would have it: trained on and measured with the train part."""
    return Checkpoint(model.model, model.parts.interactions, model.history, {})


def renamed(data: Interactions, rows: np.ndarray | None = None) -> Interactions:
    """The same rows (or some of them) under the same ids, numbered in another order."""
    data = data if rows is None else data.take(rows)
    users, items = data.user_ids[::-1], data.item_ids[::-1]
    return Interactions.from_codes(
        data.n_users - 1 - data.users, data.n_items - 1 - data.items, data.times, None, users, items
    )


def question(data: Interactions) -> Holdout:
    return split(data).final


def test_on_its_own_data_it_scores_as_ever() -> None:
    model = trained()
    holdout = Holdout(model.parts.final.seen, model.parts.test)
    ground = common_ground(holdout, stored(model))
    assert ground.note == ""
    users = torch.arange(60)
    expected = TowerScorer(model.model, holdout.seen).scores(users)
    torch.testing.assert_close(ChampionScorer(stored(model), ground).scores(users), expected)


def test_the_numbering_of_the_new_data_does_not_matter() -> None:
    model = trained()
    here, there = question(conveyor()), question(renamed(conveyor()))
    found = []
    for holdout in (here, there):
        ground = common_ground(holdout, stored(model))
        scorer = ChampionScorer(stored(model), ground)
        found.append(Evaluator(ground.holdout, CPU).evaluate(scorer).mean().as_dict())
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_new_users_and_items_are_left_out_for_both() -> None:
    """The champion has never seen items i20 and up, nor users u40 and up."""
    data = conveyor()
    number = np.array([int(name[1:]) for name in data.item_ids])
    known_user = np.array([int(name[1:]) < 40 for name in data.user_ids])
    old = data.take((number[data.items] < 20) & known_user[data.users])
    old = Interactions.from_ids(
        [old.user_ids[u] for u in old.users], [old.item_ids[i] for i in old.items], old.times
    )
    parts = split(data)
    learned = np.isin(_pairs(old, data), _pairs(parts.train, data))
    champion = stored(train(old.take(learned)))
    ground = common_ground(parts.final, champion)
    kept = ground.holdout.relevant
    assert known_user[kept.users].all()
    assert (number[kept.items] < 20).all()
    assert "20 of 30 items" in ground.note
    assert "of 60 test users" in ground.note

    scorer = ChampionScorer(champion, ground)
    unknown = np.flatnonzero(number >= 20)
    scores = scorer.scores(torch.arange(60))
    assert torch.isinf(scores[:, unknown]).all()
    found = Evaluator(ground.holdout, CPU).evaluate(scorer).mean().as_dict()
    assert found == pytest.approx(reference.metrics(scores.numpy(), ground.holdout), abs=1e-9)

    ours = on_ground(TowerScorer(trained().model, parts.final.seen), ground, CPU)
    scores = ours.scores(torch.arange(60))
    assert torch.isinf(scores[:, unknown]).all()
    assert torch.isfinite(scores[:, np.flatnonzero(number < 20)]).all()


def _pairs(rows: Interactions, like: Interactions) -> np.ndarray:
    user = {name: i for i, name in enumerate(like.user_ids)}
    item = {name: i for i, name in enumerate(like.item_ids)}
    return np.array([
        user[rows.user_ids[u]] * like.n_items + item[rows.item_ids[i]]
        for u, i in zip(rows.users, rows.items, strict=True)
    ])  # fmt: skip


def test_on_a_part_of_the_users_this_model_stands_beside_the_champion_on_that_part() -> None:
    """Else the lists of all users would be read against those of the champion's users."""
    parts = split(conveyor())
    rows = parts.parts != 2
    rows[parts.parts == 2] = parts.test.users < 20
    champion = Checkpoint(trained().model, parts.interactions, parts.interactions.take(rows), {})
    exam = FinalEvaluation(parts, trained().model, PromotionConfig(), CPU, "recall_at_10")
    exam.compare_with_champion(Champion(3, champion))
    names = ["this model", "this model (users of the champion)", "champion (version 3)"]
    assert list(exam.lists) == names
    (found,) = exam.comparisons
    assert found.n_users == 40
    assert exam.lists[names[1]]["recall_at_10"] == pytest.approx(found.ours, abs=1e-12)
    assert exam.lists[names[0]]["recall_at_10"] != pytest.approx(found.ours, abs=1e-6)


def test_users_whose_answers_it_was_told_are_left_out() -> None:
    parts = split(conveyor())
    told = parts.test.users < 20
    rows = np.ones(len(parts.interactions), bool)
    rows[parts.parts == 2] = told
    model = dataclasses.replace(trained(), parts=parts)
    champion = Checkpoint(model.model, parts.interactions, parts.interactions.take(rows), {})
    ground = common_ground(parts.final, champion)
    assert sorted(set(ground.holdout.relevant.users)) == list(range(20, 60))
    assert "40 of 60 test users" in ground.note


def test_one_that_was_told_everything_is_no_champion_to_compare_with() -> None:
    parts = split(conveyor())
    champion = Checkpoint(trained().model, parts.interactions, parts.interactions, {})
    with pytest.raises(NoCommonGround, match=r"only 0 of 60 test users .*\(60 users\)"):
        common_ground(parts.final, champion)


def test_a_repeated_purchase_is_no_answer_that_it_was_told() -> None:
    """With repeats kept, the test row is the same pair at another time."""
    data = conveyor()
    again = Interactions.from_codes(
        np.concatenate([data.users, data.users]),
        np.concatenate([data.items, data.items]),
        np.concatenate([data.times, data.times + 100_000_000]),  # type: ignore[operator]
        None,
        data.user_ids,
        data.item_ids,
        repeats="keep",
    )
    parts = split(again)
    model = trained().model
    champion = Checkpoint(model, again, parts.final.seen, {})
    assert common_ground(parts.final, champion).note == ""
    champion = Checkpoint(model, again, again, {})
    with pytest.raises(NoCommonGround):
        common_ground(parts.final, champion)


def test_equal_ids_of_other_people_are_no_common_ground() -> None:
    """Both data sets count users and items from 0: a few percent of rows agree by chance."""
    rng = np.random.default_rng(0)
    sets = []
    for _ in range(2):
        users, items = np.repeat(np.arange(60), 10), rng.integers(0, 200, 600)
        sets.append(Interactions.from_ids(users.tolist(), items.tolist(), np.tile(range(10), 60)))
    with pytest.raises(NoCommonGround, match="ids seem to mean other users and items"):
        common_ground(question(sets[0]), stored(train(sets[1])))


def test_other_ids_are_no_common_ground() -> None:
    data = conveyor()
    other = dataclasses.replace(data, user_ids=tuple(f"x{i}" for i in range(60)))
    with pytest.raises(NoCommonGround, match="trained on other users and items"):
        common_ground(question(other), stored(trained()))


def test_too_few_common_users() -> None:
    data = conveyor()
    some = data.take(data.users < 20)
    known = dataclasses.replace(some, user_ids=some.user_ids[:20])
    with pytest.raises(NoCommonGround, match="only 20 of 60 test users can be compared"):
        common_ground(split(data).final, Checkpoint(trained().model, known, split(known).train, {}))


def test_data_with_too_few_test_users_is_not_blamed_on_the_champion() -> None:
    parts = split(conveyor(n_users=20))
    champion = Checkpoint(trained().model, parts.interactions, parts.train, {})
    with pytest.raises(NoCommonGround, match=r"^the data has only 20 test users, 30 are needed$"):
        common_ground(parts.final, champion)


def test_the_obstacle_refuses_and_is_told() -> None:
    parts = split(conveyor())
    exam = FinalEvaluation(parts, trained().model, PromotionConfig(), CPU, "recall_at_10")
    exam.compare_with_champion(Champion(3, None, "weights.safetensors is not there"))
    assert exam.obstacle == (
        "the champion (version 3) cannot be compared: weights.safetensors is not there"
    )
    assert exam.notes == [exam.obstacle]
    assert not exam.comparisons


def test_the_same_model_gains_nothing() -> None:
    model = trained()
    exam = FinalEvaluation(model.parts, model.model, PromotionConfig(), CPU, "recall_at_10")
    exam.compare_with_champion(Champion(7, stored(model)))
    (found,) = exam.comparisons
    assert (found.name, found.n_users) == ("champion (version 7)", 60)
    assert found.ours == found.theirs
    assert (found.gain.low, found.gain.high) == (0.0, 0.0)

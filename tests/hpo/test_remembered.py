"""What hpo.serve remembers: only what it would answer again, and not too much of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.serving import batching
from hpo.serving.batching import Served
from recsys.questions import Answer, Question
from recsys.recommender import Recommender
from tests.hpo.registered import Client, Registered, another, running
from tests.recsys.trained import trained


@pytest.fixture
def registered(tmp_path: Path) -> Registered:
    found = Registered(tmp_path)
    found.add()
    return found


def served() -> Served:
    return Served("1", Recommender(trained().model, trained().parts.interactions))


def answered(model: Served, question: Question) -> Answer:
    (answer,) = model.recommender.answer([question])
    model.remember(question, answer)
    return answer


def test_a_known_user_is_answered_once(
    registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Question] = []
    answer = Recommender.answer

    def counted(self: Recommender, questions: list[Question]) -> list[Answer]:
        asked.extend(questions)
        return answer(self, questions)

    monkeypatch.setattr(Recommender, "answer", counted)
    live = registered.live()
    with running(live) as port:
        client = Client(port)
        first, again, other_k = (
            client.post("/recommend", {"user_id": "u3", "k": k})[1] for k in (5, 5, 4)
        )
        assert first == again
        assert first["items"][:4] == other_k["items"]
        assert [(each.user_id, each.k) for each in asked] == [("u3", 5), ("u3", 4)]

        registered.add(another())
        live.poll()
        assert client.post("/recommend", {"user_id": "u3", "k": 5})[1]["version"] == "2"
        assert len(asked) == 3  # another model knows nothing of the first one's answers


@pytest.mark.parametrize(
    "question",
    [
        Question(user_id="nobody"),
        Question(history=["i3"]),
        Question(user_id="u3", exclude=["i20"]),
        Question(user_id="u3", k=batching.REMEMBERED_K + 1),
    ],
    ids=["unknown", "history", "exclude", "many items"],
)
def test_what_may_never_come_again_is_not_kept(question: Question) -> None:
    model = served()
    answered(model, question)
    assert model.remembered(question) is None


def test_an_answer_is_not_given_to_another_question() -> None:
    model = served()
    answer = answered(model, Question(user_id="u3"))
    assert model.remembered(Question(user_id="u3")) == answer
    for other in (
        Question(user_id="u4"),
        Question(user_id="u3", k=9),
        Question(user_id="u3", exclude=["i20"]),
        Question(history=["u3"]),
    ):
        assert model.remembered(other) is None


def test_the_oldest_answer_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "REMEMBERED", 3)
    model = served()
    for number in range(5):
        answered(model, Question(user_id=f"u{number}"))
    kept = [model.remembered(Question(user_id=f"u{n}")) is not None for n in range(5)]
    assert kept == [False, False, True, True, True]

"""What hpo.serve remembers: only what it would reply again, and not too much of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpo.serving import reply_cache as replies
from hpo.serving.reply_cache import Replies
from hpo.serving.schemas import Found, RecommendRequest
from recsys.retrieval.recommender import Recommender
from recsys.retrieval.requests import Answer, Question
from tests.support.registered import Client, Registered, another, running


@pytest.fixture
def registered(tmp_path: Path) -> Registered:
    found = Registered(tmp_path)
    found.add()
    return found


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
        assert 'recommend_answers_total{source="model"} 3' in client.get("/metrics")[1]

        registered.add(another())
        live.poll()
        assert client.post("/recommend", {"user_id": "u3", "k": 5})[1]["version"] == "2"
        assert len(asked) == 3  # another model knows nothing of the first one's replies


def kept(body: dict[str, Any], source: str = "model", version: str = "1") -> bool:
    """Whether the reply to this body is there when it is asked for again."""
    memory, given = Replies("1"), json.dumps(body).encode()
    found = Found([], source, version)  # type: ignore[arg-type]
    memory.keep(given, RecommendRequest.model_validate(body), found, b"reply")
    assert memory.get(b"{}") is None
    return memory.get(given) == b"reply"


def test_what_may_never_come_again_is_not_kept() -> None:
    assert kept({"user_id": "u3"})
    assert kept({"user_id": "u3", "k": replies.MOST_ITEMS})
    assert not kept({"user_id": "u3", "k": replies.MOST_ITEMS + 1})
    assert not kept({"user_id": "u3", "exclude": ["i20"]})
    assert not kept({"history": ["i3"]})
    assert not kept({"user_id": "nobody"}, source="popular")
    assert not kept({"user_id": "u" * replies.MOST_BYTES})


def test_another_models_answer_is_not_kept() -> None:
    assert not kept({"user_id": "u3"}, version="2")


def test_the_oldest_reply_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "MOST", 3)
    memory = Replies("1")
    for number in range(5):
        body = f"{number}".encode()
        memory.keep(body, RecommendRequest(user_id="u"), Found([], "model", "1"), body)
    found = [memory.get(f"{number}".encode()) for number in range(5)]
    assert found == [None, None, b"2", b"3", b"4"]

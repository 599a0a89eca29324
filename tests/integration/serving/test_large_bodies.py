"""Bodies that cost little to send, and errors of the server: neither may cost the others much."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.types import Message, Receive, Scope, Send

from hpo.serving.app import _reasons
from hpo.serving.metrics import ServingMetrics
from hpo.serving.middleware import Counted, send_json
from hpo.serving.schemas import MAX_ITEMS, MOST_REASONS, BatchRequest, RecommendRequest
from recsys.retrieval.recommender import Recommender
from tests.support.registered import Client, Registered, running

KNOWN = {"user_id": "u1"}
FEW = 2 * MOST_REASONS


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ({**KNOWN, "exclude": [[]] * 5000}, "exclude.0: must be a string of 1 to 1024 characters"),
        ({"history": ["i1", *[True] * 5000]}, "history.1: must be a string of 1 to 1024 char"),
        ({"history": ["i1"], "times": ["a"] * 5000}, "times.0: Input should be a valid number"),
        ({**KNOWN, **{f"x{i}": i for i in range(5000)}}, "x0: Extra inputs are not permitted; x1"),
    ],
)
def test_a_body_with_many_faults_makes_few_errors(question: dict[str, Any], reason: str) -> None:
    """Tell the first fault of each list; 340,000 of them would take seconds and a gigabyte."""
    with pytest.raises(ValidationError) as caught:
        RecommendRequest.model_validate_json(json.dumps(question))
    assert caught.value.error_count() <= FEW
    assert _reasons(caught.value).startswith(reason)
    for body in ({"requests": [question] * 10}, {"requests": [KNOWN, {}] * 500}):
        with pytest.raises(ValidationError) as caught:
            BatchRequest.model_validate_json(json.dumps(body))
        assert caught.value.error_count() <= FEW
        assert _reasons(caught.value).startswith("requests.")


def test_a_batch_with_unknown_fields_makes_few_errors() -> None:
    body = {"requests": [KNOWN], **{f"x{i}": i for i in range(5000)}}
    with pytest.raises(ValidationError) as caught:
        BatchRequest.model_validate_json(json.dumps(body))
    assert caught.value.error_count() <= FEW


def test_integers_in_long_lists_are_ids_as_in_the_files() -> None:
    ids: list[Any] = [*range(MAX_ITEMS - 1), "x"]
    ask = RecommendRequest.model_validate_json(json.dumps({"history": ids, "exclude": ids}))
    assert ask.question.history == ask.question.exclude == [*map(str, ids)]


@pytest.fixture
def registered(tmp_path: Path) -> Registered:
    found = Registered(tmp_path)
    found.add()
    return found


def test_the_limits_are_the_documented_ones(registered: Registered) -> None:
    """docs/serving.md states them."""
    with running(registered.live()) as port:
        client = Client(port)
        for path, body, status in (
            ("/recommend/batch", {"requests": [KNOWN] * 1000}, 200),
            ("/recommend/batch", {"requests": [KNOWN] * 1001}, 400),
            ("/recommend", {**KNOWN, "exclude": ["i1"] * 10_000}, 200),
            ("/recommend", {**KNOWN, "exclude": ["i1"] * 10_001}, 400),
            ("/recommend", {**KNOWN, "exclude": ["x" * 1024]}, 200),
            ("/recommend", {**KNOWN, "exclude": ["x" * 1025]}, 400),
            ("/recommend", {"user_id": "x" * 1024}, 200),
            ("/recommend", {"user_id": "x" * 1025}, 400),
        ):
            assert client.post(path, body)[0] == status


@pytest.mark.parametrize("path", ["/recommend", "/recommend/batch"])
def test_an_error_of_the_server_is_json_counted_and_logged(
    registered: Registered,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    path: str,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the disk is on fire")

    with running(registered.live()) as port:
        with monkeypatch.context() as patch:
            patch.setattr(Recommender, "answer", broken)
            body = {"requests": [KNOWN]} if path.endswith("batch") else KNOWN
            status, found = Client(port).post(path, body)
        assert (status, found.keys()) == (500, {"detail"})
        assert "fire" not in found["detail"]
        text = Client(port).get("/metrics")[1]
    assert f'recommend_requests_total{{path="{path}",status="500"}} 1' in text
    assert f"POST {path} failed" in caplog.text
    assert "the disk is on fire" in caplog.text


def test_an_error_in_the_middle_of_a_response_goes_on_to_the_server() -> None:
    """It is too late for another status, and the response counts once."""
    metrics, sent = ServingMetrics(), []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, 200, b"{}")
        raise RuntimeError("too late")

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    counted = Counted(application, metrics, ["/recommend"])
    scope = {"type": "http", "path": "/recommend", "method": "POST"}
    with pytest.raises(RuntimeError, match="too late"):
        asyncio.run(counted(scope, receive, send))
    assert [message.get("status") for message in sent] == [200, None]
    text = metrics.text("1", healthy=True)
    assert 'recommend_requests_total{path="/recommend",status="200"} 1' in text
    assert "500" not in text.partition("TYPE recommend_answers_total")[0]

"""The registered model through MLflow's own flavour and the handler of `mlflow models serve`."""

from __future__ import annotations

import json
from typing import Any

import mlflow.pyfunc
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc.scoring_server import invocations

from hpo.promotion.model_card import ASKING
from hpo.registry.pyfunc import save_pyfunc
from recsys.artifacts import checkpoint
from recsys.retrieval.recommender import Recommender
from recsys.retrieval.requests import Answer, Question
from tests.support.trained import trained

VISITED = '["i3", "i4", "nope"]'
COLUMNS = ["user_id", "rank", "item_id", "score", "source"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("pyfunc")
    found = trained()
    about = checkpoint.origin("conveyor", found.parts)
    checkpoint.save(folder / "model", found.model, found.history, about)
    save_pyfunc(folder / "model", "u1", folder / "packed", Model())
    return mlflow.pyfunc.load_model(str(folder / "packed"))


def ask(model: Any, body: Any, kind: str = "application/json") -> list[dict[str, Any]]:
    """Rows that MLflow's server answers to a body."""
    text = body if isinstance(body, str) else json.dumps(body)
    reply = invocations(text, kind, model, model.metadata.get_input_schema())
    assert reply.status == 200, reply.response
    rows: list[dict[str, Any]] = json.loads(reply.response)["predictions"]
    return rows


def rows(name: str, answer: Answer) -> list[dict[str, Any]]:
    return [
        dict(zip(COLUMNS, (name, rank, item, pytest.approx(score), answer.source), strict=True))
        for rank, (item, score) in enumerate(answer.items, 1)
    ]


def direct(*questions: Question) -> list[Answer]:
    return Recommender(trained().model, trained().history).answer(questions)


def test_every_form_of_input_is_answered_alike_with_the_source(model: Any) -> None:
    known, unknown = direct(Question(user_id="u1", k=3), Question(user_id="nobody", k=3))
    expected = rows("u1", known) + rows("nobody", unknown)
    assert {row["source"] for row in expected} == {"model", "popular"}
    records = [{"user_id": "u1"}, {"user_id": "nobody"}]
    split = {"columns": ["user_id"], "data": [["u1"], ["nobody"]]}
    for name, value in (
        ("dataframe_records", records),
        ("dataframe_split", split),
        ("inputs", {"user_id": ["u1", "nobody"]}),
        ("instances", records),
    ):
        assert ask(model, {name: value, "params": {"k": 3}}) == expected, name
    # CSV has no place for params
    assert ask(model, "user_id\nu1\nnobody\n", "text/csv")[:3] == expected[:3]


def test_somebody_is_answered_from_their_history(model: Any) -> None:
    given, known = direct(Question(history=["i3", "i4", "nope"], k=3), Question(user_id="u1", k=3))
    expected = rows("visitor", given) + rows("u1", known)
    split = {
        "columns": ["user_id", "history"],
        "data": [["visitor", VISITED], ["u1", None]],
    }
    assert ask(model, {"dataframe_split": split, "params": {"k": 3}}) == expected
    records = [{"user_id": "visitor", "history": VISITED}, {"user_id": "u1"}]
    assert ask(model, {"dataframe_records": records, "params": {"k": 3}}) == expected
    table = 'user_id,history\nvisitor,"[""i3"", ""i4"", ""nope""]"\nu1,\n'
    answered = ask(model, table, "text/csv")
    assert answered[:3] == expected[:3]
    assert answered[10:13] == expected[3:]
    assert {row["source"] for row in ask(model, {"dataframe_records": [
        {"user_id": "visitor", "history": "[]"}
    ]})} == {"popular"}  # fmt: skip


@pytest.mark.parametrize("nobody", [None, ""])
@pytest.mark.parametrize("more", [{}, {"history": '["i3"]'}])
def test_a_null_user_is_refused(model: Any, nobody: str | None, more: dict[str, Any]) -> None:
    body = {"dataframe_records": [{"user_id": "u1", **more}, {"user_id": nobody, **more}]}
    with pytest.raises(MlflowException, match="user_id of row 1 is null or empty") as error:
        ask(model, body)
    assert error.value.get_http_status_code() == 400


def test_signature_and_card_say_what_may_be_asked(model: Any) -> None:
    schema = model.metadata.signature
    assert schema.inputs.required_input_names() == ["user_id"]
    assert schema.inputs.optional_input_names() == ["history"]
    assert schema.outputs.input_names() == COLUMNS
    assert all(f"`{name}`" in ASKING for name in [*COLUMNS, "history", "k"])


@pytest.mark.parametrize("history", ["i3", '["i3", null]', '{"i3": 1}', "3", "[[]]", "[true]"])
def test_a_history_that_is_no_list_of_ids_is_refused(model: Any, history: str) -> None:
    body = {"dataframe_records": [{"user_id": "visitor", "history": history}]}
    with pytest.raises(MlflowException, match="history of row 0 is no list of item ids") as error:
        ask(model, body)
    assert error.value.get_http_status_code() == 400


def test_twenty_thousand_rows_are_answered(model: Any) -> None:
    body = {"inputs": {"user_id": ["u1"] * 20_000}, "params": {"k": 1}}
    assert len(ask(model, body)) == 20_000

"""The registered model as MLflow runs it ("model from code"): users or histories in, items out.

MLflow executes this file out of the model's folder, which also contains `recsys` and the weights as
safetensors. This module must import nothing of hpo.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from recsys.artifacts import load
from recsys.retrieval import Question, Recommender, RequestError


class TwoTowerModel(PythonModel):  # type: ignore[misc]
    """The recommender as an MLflow pyfunc.

    The input has a column `user_id` and, optionally, `history`; the only param is `k`. The output
    has rows (user_id, rank, item_id, score, source), best first.
    """

    def load_context(self, context: Any) -> None:
        """Load the model from the folder that was logged as artifact "model"."""
        stored = load(Path(context.artifacts["model"]))
        self._recommender = Recommender(stored.model, stored.history)

    def predict(
        self,
        context: Any,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return k new items for each row; unknown users get popular items, marked as such.

        Args:
            context: MLflow's context, not used.
            model_input: `user_id`, and perhaps `history`: a JSON list of item ids as text, oldest
                first. A row with a history is answered from that history, and its user_id only
                names the answer.
            params: `k`, the number of items for each row (10).

        Raises:
            MlflowException: a user_id is null or empty, a history is no list of ids, or k is no
                integer in 1..1000; INVALID_PARAMETER_VALUE, which a server answers with 400.
        """
        k = int((params or {}).get("k", 10))
        user_ids = [_named(row, given) for row, given in enumerate(model_input["user_id"])]
        given = model_input["history"] if "history" in model_input else [None] * len(user_ids)
        histories = [_history(row, items) for row, items in enumerate(given)]
        try:
            questions = [
                Question(user_id=user_id, k=k) if items is None else Question(history=items, k=k)
                for user_id, items in zip(user_ids, histories, strict=True)
            ]
        except RequestError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        rows = [
            (user_id, rank, item_id, score, answer.source)
            for user_id, answer in zip(user_ids, self._recommender.answer(questions), strict=True)
            for rank, (item_id, score) in enumerate(answer.items, start=1)
        ]
        return pd.DataFrame(rows, columns=["user_id", "rank", "item_id", "score", "source"])


def _named(row: int, given: Any) -> str:
    """Return the user id of one row as a string.

    Raises:
        MlflowException: the user id is null or empty.
    """
    if _is_null(given) or str(given) == "":
        raise MlflowException.invalid_parameter_value(
            f"user_id of row {row} is null or empty; give an id, and with a history any name for "
            "the person"
        )
    return str(given)


def _history(row: int, given: Any) -> list[str] | None:
    """Return the item ids of one row as strings; None if the row has no history.

    Raises:
        MlflowException: the history is no JSON list of item ids.
    """
    if _is_null(given) or given == "":  # CSV has no null
        return None
    try:
        items = json.loads(given)
    except ValueError:
        items = None
    if not isinstance(items, list) or not all(type(item) in (str, int) for item in items):
        raise MlflowException.invalid_parameter_value(
            f"history of row {row} is no list of item ids; give JSON text such as "
            '["242", "302"], or null'
        )
    return [str(item) for item in items]


def _is_null(given: Any) -> bool:
    return bool(pd.isna(given))


set_model(TwoTowerModel())

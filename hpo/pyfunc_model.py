"""The registered model as MLflow runs it ("model from code"): known users in, their items out.

MLflow executes this file out of the model's folder; `recsys` lies beside it, the weights are
safetensors. It must import nothing of hpo.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from recsys.checkpoint import load
from recsys.recommender import Recommender, RequestError


class TwoTowerModel(PythonModel):  # type: ignore[misc]
    """Column `user_id` in, param `k`; rows (user_id, rank, item_id, score) out, best first."""

    def load_context(self, context: Any) -> None:
        """Read the folder that was logged as artifact "model"."""
        stored = load(Path(context.artifacts["model"]))
        self._recommender = Recommender(stored.model, stored.history)

    def predict(
        self,
        context: Any,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """New items for each user, k of them; unknown users get what is popular."""
        user_ids = [str(user_id) for user_id in model_input["user_id"]]
        try:
            answers = self._recommender.recommend(user_ids, int((params or {}).get("k", 10)))
        except RequestError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        rows = [
            (user_id, rank, item_id, score)
            for user_id, answer in zip(user_ids, answers, strict=True)
            for rank, (item_id, score) in enumerate(answer.items, start=1)
        ]
        return pd.DataFrame(rows, columns=["user_id", "rank", "item_id", "score"])


set_model(TwoTowerModel())

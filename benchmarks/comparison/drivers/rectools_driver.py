"""RecTools' SASRec: the one peer that knows the order of a user's items."""

import logging
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from worker import Arrays, serve, shape

SESSION = 100
WORST = -1e30  # of items that the model has never seen

warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
torch.set_num_threads(1)


def fit(data: Arrays, history: Arrays, params: dict[str, Any], seed: int) -> Arrays:
    seed_everything(seed)
    settings = {name: value for name, value in params.items() if name not in ("epochs", "model")}

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=params["epochs"],
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            logger=False,
            deterministic=True,
        )

    model = SASRecModel(
        **settings, session_max_len=SESSION, loss="softmax", get_trainer_func=trainer
    )
    model.fit(_dataset(data))
    n_users, n_items = shape(data)
    found = model.recommend(
        users=np.unique(history["row_users"]),
        dataset=_dataset(history),
        k=len(np.unique(data["row_items"])),
        filter_viewed=False,
    )
    scores = np.full((n_users, n_items), WORST, np.float32)
    scores[found[Columns.User].to_numpy(), found[Columns.Item].to_numpy()] = found[Columns.Score]
    return {"scores": scores}


def _dataset(data: Arrays) -> Dataset:
    rows = pd.DataFrame({
        Columns.User: data["row_users"],
        Columns.Item: data["row_items"],
        Columns.Weight: 1.0,
        Columns.Datetime: pd.to_datetime(data["row_order"], unit="s"),
    })  # fmt: skip
    return Dataset.construct(rows)


if __name__ == "__main__":
    serve(fit, ["rectools", "torch", "pytorch-lightning", "numpy"])

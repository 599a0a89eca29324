"""A real, finished study on a small CSV: trained, reported and told as hpo.run does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import torch

from hpo.config.locations import Locations
from hpo.config.study_config import StudyConfig
from hpo.execution.launcher import make_record
from hpo.execution.ledger import Ledger
from hpo.study.data import load_data
from hpo.study.lifecycle import open_study
from hpo.study.storage import open_storage
from recsys.data.interactions import Interactions
from recsys.training.fit import Fit
from tests.support.examples import conveyor
from tests.support.mlflow_store import fresh_store

SPACE = {"lr": {"low": 0.01, "high": 0.2, "log": True}, "epochs": {"low": 1, "high": 4}}
BASE = {"dim": 8, "lr": 0.05, "epochs": 3}
RULES = {"must_beat": ["champion", "popularity"]}  # item-kNN makes no mistakes on a conveyor


def write_csv(path: Path, data: Interactions) -> None:
    assert data.times is not None
    rows = zip(data.users, data.items, data.times, strict=True)
    lines = [f"{data.user_ids[user]},{data.item_ids[item]},{time}" for user, item, time in rows]
    path.write_text("\n".join(["user_id,item_id,timestamp", *lines]) + "\n")


class RealStudy:
    """Everything in one folder: data, Optuna and MLflow."""

    def __init__(self, folder: Path) -> None:
        root = folder.as_posix()
        self.base: dict[str, float] = BASE
        self.data = folder / "shop.csv"
        if not self.data.exists():
            write_csv(self.data, conveyor())
        self.locations = Locations(f"sqlite:///{root}/optuna.db", fresh_store(folder))

    def train(self, name: str, n_trials: int = 2, seed: int = 0, **sections: Any) -> optuna.Study:
        """Make the study, or go on with it; sections as in a study file."""
        config = StudyConfig.model_validate({
            "name": name, "data": str(self.data), "base": self.base, "space": SPACE, "seed": seed,
            "promotion": RULES, **sections,
        })  # fmt: skip
        data_name, split = load_data(config)
        storage = open_storage(self.locations.storage)
        study, record = open_study(storage, name, make_record(config, data_name, split))
        ledger = Ledger(study, record.config)
        for _ in range(n_trials):
            assignment = ledger.start("inline", 1)
            cpu, objective = torch.device("cpu"), record.config.objective
            for result in Fit(split.tuning, assignment.config, cpu, objective):
                ledger.report(assignment, result)
            ledger.complete(assignment)
        return study

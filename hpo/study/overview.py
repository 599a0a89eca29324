"""The studies of a storage, a line each: what somebody chooses from who named none."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.storages import RDBStorage

from hpo.study.records import StudyRecord, best_complete, comparable
from recsys.messages import count

SHOWN_STUDIES = 10


def study_lines(storage: RDBStorage, names: Sequence[str]) -> list[str]:
    """Return a line on each study: its name, trials, best value, and when it began.

    Args:
        storage: holds them.
        names: of studies made by hpo, in the order of the lines; beyond ten they are counted.
    """
    shown = [_cells(storage, name) for name in names[:SHOWN_STUDIES]]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = [
        "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))
        for cells in shown
    ]
    if len(names) > SHOWN_STUDIES:
        lines.append(f"  and {len(names) - SHOWN_STUDIES} older")
    return [line.rstrip() for line in lines]


def _cells(storage: RDBStorage, name: str) -> tuple[str, str, str, str]:
    study = optuna.load_study(study_name=name, storage=storage)
    record, trials = StudyRecord.of(study), study.get_trials(deepcopy=False)
    started = [trial.datetime_start for trial in trials if trial.datetime_start]
    best = best_complete(comparable(record, trials))
    value = f"best {record.config.objective} {best.value:.4f}" if best else "no complete trial"
    began = f"began {min(started):%Y-%m-%d %H:%M}" if started else "not begun"
    return name, count(len(started), "trial"), value, began

"""All trials of a study as one table, for dataframes and spreadsheets."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.errors import StudyError
from hpo.reports.trials import TrialRow
from recsys.config import TrainConfig

if TYPE_CHECKING:
    import polars as pl


def trial_frame(trials: Sequence[TrialRow], parameters: Sequence[str]) -> pl.DataFrame:
    """One row per trial: number, state, value, the sampled parameters by name, then the rest.

    What a trial does not have is null. Seconds are those of its epochs; started and ended are
    local time.
    """
    import polars as pl

    types = {name: pl.Int64 if TrainConfig.is_integer(name) else pl.Float64 for name in parameters}
    schema = {
        "number": pl.Int64, "state": pl.String, "value": pl.Float64,
        **types,
        "best_epoch": pl.Int64, "seconds": pl.Float64, "cause": pl.String,
        "attempt": pl.Int64, "origin": pl.Int64, "seed": pl.Int64,
        "started": pl.Datetime("us"), "ended": pl.Datetime("us"),
    }  # fmt: skip
    rows = [
        (
            trial.number, trial.state, trial.value,
            *(trial.params.get(name) for name in parameters),
            trial.best_epoch or None, trial.seconds, trial.cause,
            *((a.number, a.origin, a.seed) if (a := trial.attempt) else (None, None, None)),
            trial.started, trial.ended,
        )
        for trial in trials
    ]  # fmt: skip
    return pl.DataFrame(rows, schema, orient="row")


def write_frame(frame: pl.DataFrame, csv: Path | None, parquet: Path | None) -> list[Path]:
    """Write the files that are asked for, each under another name first; returns them.

    Raises:
        StudyError: a file cannot be written there.
    """
    writers = ((csv, frame.write_csv), (parquet, frame.write_parquet))
    return [_write(path, write) for path, write in writers if path is not None]


def _write(path: Path, write: Callable[[Path], None]) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".trials-") as folder:
            draft = Path(folder) / path.name
            write(draft)
            draft.replace(path)
    except OSError as error:
        raise StudyError(f"{path} cannot be written: {error}") from error
    return path

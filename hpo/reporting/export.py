"""Export of a study's trials as one table, for dataframes and spreadsheets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hpo.errors import SettingsError, StudyError
from hpo.study import TrialRow
from recsys.cli import check_suffix, draft_of, is_special, without_formulas

if TYPE_CHECKING:
    import polars as pl

    from hpo.config import StudyConfig

STDOUT = Path("-")


def trial_frame(trials: Sequence[TrialRow], config: StudyConfig) -> pl.DataFrame:
    """Return one row per trial: number, state, value, sampled parameters by name, then the rest.

    Missing values are null. `seconds` is the time of the trial's epochs; `started` and `ended` are
    local time.

    Args:
        trials: trials of one study.
        config: config of the study, with its searched hyperparameters.
    """
    import polars as pl

    parameters, is_integer = list(config.space), config.hyperparameters.is_integer
    types = {name: pl.Int64 if is_integer(name) else pl.Float64 for name in parameters}
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


def check_files(csv: Path | None, parquet: Path | None) -> None:
    """Refuse output files that cannot take the trials, before anything is read.

    The suffix must match the format, so that a typing error replaces no study storage; a path that
    is no regular file (a pipe) may have any name.

    Args:
        csv: file of --csv; None: not given.
        parquet: file of --parquet; None: not given.

    Raises:
        SettingsError: a suffix is wrong, or Parquet would go to stdout.
    """
    for path, suffix in ((csv, ".csv"), (parquet, ".parquet")):
        if path is not None and path != STDOUT and not is_special(path):
            check_suffix(f"--{suffix[1:]}", path, (suffix,))
    if parquet == STDOUT:
        raise SettingsError("--parquet -: Parquet is no text format; give a file, or use --csv -")


def write_frame(
    frame: pl.DataFrame, csv: Path | None, parquet: Path | None, *, spreadsheet_safe: bool = False
) -> list[Path]:
    """Write the requested files, each as a draft that is renamed when complete; return their paths.

    Args:
        frame: the table.
        csv: CSV file; `-` is stdout; None: no CSV.
        parquet: Parquet file; None: no Parquet. `spreadsheet_safe` never changes it.
        spreadsheet_safe: quote text in CSV that a spreadsheet would run.

    Raises:
        StudyError: a file cannot be written.
    """
    shown = without_formulas(frame) if spreadsheet_safe else frame
    writers = ((csv, shown.write_csv), (parquet, frame.write_parquet))
    return [_write(path, write) for path, write in writers if path is not None]


def _write(path: Path, write: Callable[[Path | IO[bytes]], None]) -> Path:
    """Write one file, or stdout, and return its path.

    Raises:
        BrokenPipeError: the reader of stdout has stopped reading.
        StudyError: the file cannot be written.
    """
    try:
        if path == STDOUT:
            sys.stdout.flush()
            write(sys.stdout.buffer)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft_of(path, ".trials-") as draft:
                write(draft)
    except BrokenPipeError:  # `| head` has read enough, see `recsys.cli.entry`
        raise
    except OSError as error:
        raise StudyError(f"{path} cannot be written: {error}") from error
    return path

"""The files of hpo.report: tables of trials, and the folders of reports."""

from __future__ import annotations

import errno
from pathlib import Path

import polars as pl
import pytest

from hpo.config.locations import Locations
from hpo.errors import StudyError
from hpo.report import main
from hpo.reporting import report as report_module
from hpo.reporting.folders import folder_name, report_folder
from hpo.reporting.report import FILES, write_report
from tests.support.real_study import RealStudy


def test_a_folder_that_is_a_mount_point_is_written(
    real: RealStudy, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with --out /reports in a container: nothing can be moved there from the folder above."""
    out, replace = tmp_path / "reports", Path.replace

    def within(path: Path, target: Path) -> Path:
        if (out in path.parents) != (out in Path(target).parents):
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(path))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", within)
    report_module._write(out, files)
    assert {path.name for path in out.iterdir()} == set(FILES)


def test_export_round_trip(
    real: RealStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = real.train("shop", 0)
    csv, parquet = tmp_path / "deep" / "trials.csv", tmp_path / "trials.parquet"
    code = main(["--storage", real.locations.storage, "--csv", str(csv), "--parquet", str(parquet)])
    assert code == 0
    assert capsys.readouterr().out.count("13 trials of study shop") == 2
    frame = pl.read_parquet(parquet)
    assert frame.equals(pl.read_csv(csv, schema_overrides=frame.schema))
    assert frame.columns == [
        "number", "state", "value", "lr", "epochs", "best_epoch", "seconds", "cause", "attempt",
        "origin", "seed", "started", "ended",
    ]  # fmt: skip
    for row, trial in zip(frame.iter_rows(named=True), study.trials, strict=True):
        outcome, attempt = (trial.user_attrs[f"hpo:{name}"] for name in ("outcome", "attempt"))
        assert {name: row[name] for name in trial.params} == trial.params
        assert row["state"] == trial.state.name
        assert row["value"] == {"COMPLETE": trial.value, "PRUNED": 0.3, "FAIL": None}[row["state"]]
        assert (row["best_epoch"], row["seconds"]) == (outcome["best_epoch"], outcome["seconds"])
        assert (row["attempt"], row["seed"]) == (attempt["number"], attempt["seed"])
        assert (row["started"], row["ended"]) == (trial.datetime_start, trial.datetime_complete)


@pytest.mark.parametrize(
    ("study", "folder"),
    [
        ("two_tower-ml-100k", "two_tower-ml-100k"),
        ("../a b", "___a_b-2c2c791a"),
        ("v1.0", "v1_0-fa8b919c"),
        ("v1_0", "v1_0"),
        ("CON", "CON-a3dbc4b6"),
        ("lpt1", "lpt1-cfbdeb88"),
        ("console", "console"),
    ],
)
def test_a_study_has_one_folder(study: str, folder: str) -> None:
    assert folder_name(study) == folder


def test_an_old_report_under_a_reserved_name_is_found(tmp_path: Path) -> None:
    locations = Locations(f"sqlite:///{tmp_path.as_posix()}/optuna.db")
    assert report_folder(locations, "Aux") == tmp_path / "reports" / folder_name("Aux")
    (tmp_path / "reports" / "Aux").mkdir(parents=True)
    assert report_folder(locations, "Aux") == tmp_path / "reports" / "Aux"


def test_a_folder_that_cannot_be_written(real: RealStudy, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="cannot be written"):
        main(["--storage", real.locations.storage, "--csv", str(tmp_path / "file" / "all.csv")])
    with pytest.raises(StudyError, match="cannot be written"):
        write_report(real.locations, "shop", tmp_path / "file" / "out")

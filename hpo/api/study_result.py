"""A stored study as an object: its trials, its best config, its report, its promotion."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.config import MODEL, Locations, checked_model_name
from hpo.errors import SettingsError

if TYPE_CHECKING:
    import optuna
    import polars as pl

    from hpo.promotion import Promotion
    from hpo.study import Candidate, StudyRecord, TrialRow
    from recsys.config import Hyperparameters

SHOWN_TRIALS = 5  # in a notebook
_DATABASE = re.compile(r"(sqlite|postgres|postgresql|mysql|mssql)(\+\w+)?:", re.IGNORECASE)


@dataclass(frozen=True)
class StudyResult:
    """A study and its results so far, read from its storage at each access.

    Another process may go on with the study meanwhile.

    Attributes:
        name: name of the study.
        locations: addresses of the study and of its MLflow mirror.
    """

    name: str
    locations: Locations

    @property
    def study(self) -> optuna.Study:
        """Return Optuna's study, for its own plots and questions; do not write to it."""
        from hpo.study import existing_storage, load_named

        return load_named(existing_storage(self.locations.storage), self.name)

    @property
    def record(self) -> StudyRecord:
        """Return the study's record: its settings, data, baselines and environment."""
        from hpo.study import StudyRecord

        return StudyRecord.of(self.study)

    @property
    def objective(self) -> str:
        """Return the metric that the study maximizes on validation."""
        return self.record.config.objective

    @property
    def n_finished(self) -> int:
        """Return the number of trials that are COMPLETE or PRUNED."""
        from hpo.study import COUNTED

        return sum(trial.state in COUNTED for trial in self.study.get_trials(deepcopy=False))

    @property
    def is_complete(self) -> bool:
        """Return True if the study has as many finished trials as it was last asked for."""
        return self.n_finished >= self.record.config.n_trials

    @property
    def trials(self) -> pl.DataFrame:
        """Return one row per trial: number, state, value, parameters, best epoch, seconds, cause.

        `.to_pandas()` makes a DataFrame of pandas of it.
        """
        from hpo.reporting import trial_frame
        from hpo.study import read_trials

        return trial_frame(read_trials(self.study), self.record.config)

    @property
    def best_trial(self) -> int:
        """Return the number of the best trial; an error as of `best_config`."""
        return self._best.trial

    @property
    def best_config(self) -> Hyperparameters:
        """Return all hyperparameters of the best trial.

        Raises:
            PromotionError: no trial is complete.
        """
        return self._best.config

    @property
    def best_value(self) -> float:
        """Return the objective of the best trial at its best epoch, on validation.

        It is the best of many noisy values, so it flatters the config; `promote` measures it on
        test.

        Raises:
            PromotionError: no trial is complete.
        """
        return self._best.value

    @property
    def _best(self) -> Candidate:
        from hpo.study import top_candidates

        return top_candidates(self.study, 1)[0]

    def report(self, folder: Path | str | None = None, *, data: str | None = None) -> Path:
        """Write the study's report, as `python -m hpo.report` does; return the path of its page.

        Args:
            folder: folder of the report; None: `reports/STUDY` beside the storage.
            data: name or path of the study's data, if it has moved.

        Raises:
            StudyError: no trial is complete, or the folder cannot be written.
            PromotionError: the data differs from the study's.
        """
        from hpo.reporting import report_folder, write_report
        from hpo.study import send_files

        place = report_folder(self.locations, self.name) if folder is None else Path(folder)
        page = write_report(self.locations, self.name, place, data=data).page
        if unsent := send_files(self.locations, self.study):
            warnings.warn(unsent, stacklevel=2)
        return page

    def promote(
        self,
        *,
        candidates: int = 5,
        seeds: int = 3,
        dry_run: bool = False,
        force: str | None = None,
        data: str | None = None,
        model: str | None = None,
        teachers: int | None = None,
    ) -> Promotion:
        """Race, refit, measure and register the winner, as `python -m hpo.promote` does.

        Args:
            candidates: number of the study's best trials that race.
            seeds: number of trainings per candidate.
            dry_run: measure and judge, but write nothing into MLflow.
            force: reason to make the model the champion whatever the gate decides; None: the gate
                decides.
            data: name or path of the study's data, if it has moved.
            model: name of the registered model; None: the one in the study's [promotion].
            teachers: number of models trained first for the refit to learn from, 0..16; None: the
                one in the study's [promotion].

        Returns:
            The findings and the decision: `passed`, `test`, `registered`.

        Raises:
            PromotionError: no trial is complete, all candidates diverge, or the data differs from
                the study's.
            SettingsError: a number is out of range, or the gate asks for a baseline that cannot be
                measured.
            DivergedError: the refit diverges.
            TrackingError: MLflow does not answer.
        """
        from hpo.promotion import PromotionSettings, promote_study, promotion_summary

        if candidates < 1 or seeds < 1 or (force is not None and not force.strip()):
            raise SettingsError(
                f"candidates={candidates}, seeds={seeds}, force={force!r}: the numbers must be 1 "
                "or more, and force a reason in words"
            )
        try:
            checked_model_name(MODEL if model is None else model)
        except ValueError as error:
            raise SettingsError(f"model={model!r}: {error}") from None
        settings = PromotionSettings(candidates, seeds, dry_run, force, model, teachers)
        found = promote_study(self.locations, self.name, data=data, settings=settings)
        print(promotion_summary(found, self.locations))
        return found

    def _repr_html_(self) -> str:
        """Return the best trials as a table for a notebook."""
        head, *rows = self._shown()
        cells = "".join(f"<th>{cell}</th>" for cell in head)
        body = "".join(
            "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows
        )
        return (
            f"<p>{_escaped(str(self))}</p><table><thead><tr>{cells}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )

    def _shown(self) -> list[Sequence[str]]:
        """Return the heading and the rows of the best trials."""
        from hpo.study import complete_best_first, read_trials

        names = list(self.record.config.space)
        best: list[TrialRow] = complete_best_first(read_trials(self.study))[:SHOWN_TRIALS]
        rows = [
            (str(trial.number), f"{trial.score:.4f}", *map(trial.shown, names)) for trial in best
        ]
        return [("trial", self.objective, *names), *rows]

    def __str__(self) -> str:
        asked = self.record.config.n_trials
        return f"study {self.name}: {self.n_finished} of {asked} trials finished"


def _escaped(text: str) -> str:
    import html

    return html.escape(text)


def load_study(
    name: str | None = None,
    *,
    storage: str | Path | None = None,
    tracking: str | None = None,
    experiment: str | None = None,
    artifacts: str | Path | None = None,
) -> StudyResult:
    """Return a stored study, finished or not, however it was started.

    Args:
        name: name of the study; None: the only one.
        storage: file of an SQLite database, or URL of a database; None: studies/optuna.db.
        tracking: URI of MLflow for `promote`; None: $MLFLOW_TRACKING_URI, else
            sqlite:///studies/mlflow.db.
        experiment: MLflow experiment; None: two-tower-hpo.
        artifacts: folder or URL of the artifact store; None: $HPO_ARTIFACTS, else none.

    Raises:
        StudyError: there is no such study, or there are several and none is named.
        SettingsError: the storage cannot be opened.
    """
    from hpo.study import existing_storage, load_named

    locations = given_locations(storage, tracking, experiment, artifacts)
    return StudyResult(load_named(existing_storage(locations.storage), name).study_name, locations)


def given_locations(
    storage: str | Path | None,
    tracking: str | Path | None,
    experiment: str | None,
    artifacts: str | Path | None,
) -> Locations:
    """Return the locations that a call in Python gives, see `Locations.resolve`.

    Args:
        storage: URL or SQLite file of the Optuna storage.
        tracking: URI of MLflow, or its SQLite file.
        experiment: MLflow experiment.
        artifacts: folder or URL of the artifact store.

    Raises:
        SettingsError: see `Locations.resolve`; or an address is no URL of a database.
    """
    from recsys.artifacts import sqlite_url, without_three_slashes

    if isinstance(storage, str) and "://" not in storage and _DATABASE.match(storage):
        scheme = storage.partition(":")[0]  # the rest may hold a password
        raise SettingsError(
            f"storage='{scheme}:...' is no database URL; give a file, sqlite:///FILE or "
            "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
        )
    if isinstance(storage, Path) or (storage and "://" not in storage):
        storage = sqlite_url(Path(storage).expanduser())
    if isinstance(tracking, Path):  # a folder stays one, and is refused where MLflow is opened
        tracking = str(tracking) if tracking.is_dir() else sqlite_url(tracking.expanduser())
    store = None if artifacts is None else str(artifacts)
    found = Locations.resolve(storage, tracking, experiment, artifacts=store)
    if cure := without_three_slashes(found.tracking_uri):
        raise SettingsError(f"tracking={found.tracking_uri!r}: {cure}")
    # a program may change its folder, and the result of a study stays that of this one
    folder = found.artifacts
    if folder is not None and "://" not in folder:
        folder = str(Path(folder).expanduser().absolute())
    storage, tracking = _absolute(found.storage), _absolute(found.tracking_uri)
    return replace(found, storage=storage, tracking_uri=tracking, artifacts=folder)


def _absolute(uri: str) -> str:
    """Return the URI of an SQLite file with its whole path, links in it as they are.

    The lock of a study lies beside its file by the path that was given.
    """
    from sqlalchemy.engine import make_url

    if not uri.startswith("sqlite"):
        return uri
    url = make_url(uri)
    if url.database in (None, "", ":memory:") or str(url.database).startswith("file:"):
        return uri
    path = Path(str(url.database)).absolute().as_posix()
    return url.set(database=path).render_as_string(hide_password=False)

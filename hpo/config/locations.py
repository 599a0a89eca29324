"""Locations of a study and its MLflow mirror. Only this module reads the environment for them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from hpo.errors import NoStoreError, SettingsError
from recsys.artifacts import sqlite_file, without_three_slashes
from recsys.invocation import command_text

DASHBOARD_PORT, MLFLOW_PORT = 8080, 5000  # the ports of hpo.dashboard
MODEL = "two-tower"  # name of the registered model, unless the user gives another
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # fits models:/NAME@ALIAS

FOLDERS = ("file", "local")  # schemes of addresses of folders


@dataclass(frozen=True)
class Locations:
    """The addresses of a study and its MLflow mirror, with the same defaults in every command.

    Attributes:
        storage: SQLAlchemy URL of the Optuna storage.
        tracking_uri: URI of MLflow: sqlite:///..., http(s)://...
        experiment: MLflow experiment of the study's runs.
        dashboard_url: address of optuna-dashboard in links; by default hpo.dashboard's.
        mlflow_url: address of MLflow in links; None: the tracking server, or hpo.dashboard's
            MLflow UI.
        artifacts: folder or URL of the store for the study's files, besides the folder beside its
            storage; None: there is none.
    """

    storage: str = "sqlite:///studies/optuna.db"
    tracking_uri: str = "sqlite:///studies/mlflow.db"
    experiment: str = "two-tower-hpo"
    dashboard_url: str = f"http://127.0.0.1:{DASHBOARD_PORT}"
    mlflow_url: str | None = None
    artifacts: str | None = None

    @classmethod
    def resolve(
        cls,
        storage: str | None,
        tracking_uri: str | None,
        experiment: str | None = None,
        *,
        dashboard_url: str | None = None,
        mlflow_url: str | None = None,
        artifacts: str | None = None,
    ) -> Self:
        """Return the locations: options first, then the environment, then the defaults.

        The variables are HPO_STORAGE, MLFLOW_TRACKING_URI, HPO_DASHBOARD_URL, HPO_MLFLOW_URL and
        HPO_ARTIFACTS; an empty variable counts as unset. None for an option means that it was not
        given.

        Args:
            storage: value of --storage.
            tracking_uri: value of --tracking-uri.
            experiment: value of --experiment-name.
            dashboard_url: value of --dashboard-url.
            mlflow_url: value of --mlflow-url.
            artifacts: value of --artifacts.

        Raises:
            SettingsError: an option is empty, for example from an unset shell variable,
                `artifacts` holds a login, or an SQLite URL has not three slashes.
        """
        given = {
            "--storage": storage,
            "--tracking-uri": tracking_uri,
            "--experiment-name": experiment,
            "--artifacts": artifacts,
        }
        empty = [name for name, text in given.items() if text is not None and not text.strip()]
        if empty:
            raise SettingsError(
                [f"{name} is empty; leave it out for the default" for name in empty]
            )
        store = artifacts or cls.usual_artifacts()
        _check_storage(storage or cls.usual_storage(), "--storage" if storage else "$HPO_STORAGE")
        _check_artifacts(store or "", "--artifacts" if artifacts else "$HPO_ARTIFACTS")
        dashboard = dashboard_url or os.environ.get("HPO_DASHBOARD_URL")
        mlflow = mlflow_url or os.environ.get("HPO_MLFLOW_URL")
        return cls(
            storage or cls.usual_storage(),
            tracking_uri or cls.usual_tracking(),
            experiment or cls.experiment,
            (dashboard or cls.dashboard_url).rstrip("/"),
            mlflow.rstrip("/") if mlflow else None,
            store,
        )

    @classmethod
    def usual_storage(cls) -> str:
        """Return the storage of commands without --storage: $HPO_STORAGE, else the default."""
        return os.environ.get("HPO_STORAGE") or cls.storage

    @classmethod
    def usual_tracking(cls) -> str:
        """Return MLflow's URI without --tracking-uri: $MLFLOW_TRACKING_URI, else the default."""
        return os.environ.get("MLFLOW_TRACKING_URI") or cls.tracking_uri

    @classmethod
    def usual_artifacts(cls) -> str | None:
        """Return the artifact store of commands without --artifacts: $HPO_ARTIFACTS, else none."""
        return os.environ.get("HPO_ARTIFACTS") or cls.artifacts


def is_model_name(text: str) -> bool:
    """Return True if a registered model can have this name."""
    return _MODEL_NAME.fullmatch(text) is not None


def checked_model_name(text: str) -> str:
    """Return the name of a registered model unchanged.

    Raises:
        ValueError: MLflow, or an address models:/NAME@ALIAS, could not hold it.
    """
    if not is_model_name(text):
        raise ValueError(
            "must be a name such as two-tower: a letter or digit, then letters, digits, '.', '_' "
            "or '-', at most 100 in all"
        )
    return text


def has_store(tracking_uri: str) -> bool:
    """Return True unless MLflow's SQLite database is missing; True for any server."""
    file = sqlite_file(tracking_uri)
    return file is None or file.exists()


def require_store(tracking_uri: str) -> None:
    """Refuse a missing MLflow store, since opening it would create an empty one.

    Raises:
        NoStoreError: the store's SQLite database is missing.
    """
    if not has_store(tracking_uri):
        raise NoStoreError(
            f"{sqlite_file(tracking_uri)}: there is no MLflow store; {command_text('hpo.run')} "
            f"makes it, {command_text('hpo.promote')} registers the first model in it; or say with "
            "--tracking-uri where it is"
        )


def _check_storage(url: str, name: str) -> None:
    """Check the slashes of an SQLite URL; `hpo.study` checks the rest when it opens the storage.

    Args:
        url: the address of the storage.
        name: the option or variable that holds it.

    Raises:
        SettingsError: with these slashes, the URL means another file.
    """
    if cure := without_three_slashes(url):
        raise SettingsError(f"{name} {url}: {cure}")


def _check_artifacts(url: str, name: str) -> None:
    """Check the address of an artifact store; nothing is connected.

    Args:
        url: the address of the store.
        name: the option or variable that holds it.

    Raises:
        SettingsError: the address holds a login or options, or such a store cannot be written.
    """
    if "://" not in url:
        return
    try:
        parts = urlsplit(url)
    except ValueError as error:  # the address may hold a login
        raise SettingsError(
            f"{name} {url.partition('://')[0]}://...: {error}; give a folder, "
            "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
        ) from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise SettingsError(
            f"{name} {parts.scheme}://...: the address holds a login or options; give "
            f"{parts.scheme}://BUCKET/PREFIX alone, and the login as the store's client takes it "
            "from the environment, for instance AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if parts.scheme in FOLDERS and parts.netloc not in ("", "localhost"):
        raise SettingsError(
            f"{name} {url}: names the machine {parts.netloc!r}; give a folder of this one, as "
            "a path or as file:///PATH"
        )
    if parts.scheme in ("http", "https"):
        raise SettingsError(
            f"{name} {url}: a web address cannot be written; give a folder, "
            "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
        )

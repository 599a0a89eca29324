"""Steps from a recipe to a finished version, shared by promotion and retraining."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.config import MODEL, Locations, has_store
from hpo.errors import PromotionError, SettingsError, TrackingError
from hpo.gate import Champion, RefitContext, fetch_champion, refit_model
from hpo.promotion.outcome import Promotion, Registered
from hpo.promotion.registration import (
    EXAMPLE_USER,
    finish_version,
    make_place,
    make_version,
    read_findings,
)
from hpo.promotion.summary import measurement
from hpo.registry import Recipe, versions as registry
from hpo.study import exclusive_registry
from recsys.artifacts import open_client, tracking_errors
from recsys.data import Split

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@contextmanager
def changing_registry(locations: Locations, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the registry lock while the block runs, see `hpo.study.locks.exclusive_registry`.

    Args:
        locations: addresses of the study's storage and of MLflow; the lock lies beside one of them.
        say: called with one line if another process holds the lock.

    Raises:
        PromotionError: the folder of the lock is not writable.
        SettingsError: the storage of the lock cannot be opened.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive_registry(locations.storage, locations.tracking_uri, say))
        except SettingsError as error:
            cause = error.__cause__
            if not isinstance(cause, OSError) or cause.filename is None:
                raise
            raise PromotionError(
                f"the registry cannot be changed: {cause.filename}: {cause.strerror}; make that "
                "folder writable, or measure without registering, with --dry-run"
            ) from None
        yield


@dataclass(frozen=True, eq=False)
class Promoter:
    """Measurement and registration of models in one MLflow.

    Callers of methods that write must hold the registry lock.

    Attributes:
        locations: addresses of the study's storage and of MLflow.
        force: reason to make a model the champion whatever the gate decides; None: the gate
            decides.
        say: called with each line of progress.
        model: name of the registered model.
    """

    locations: Locations
    force: str | None
    say: Callable[[str], None]
    model: str = MODEL

    @cached_property
    def client(self) -> MlflowClient:
        """Return the MLflow client, which is opened at the first use.

        Opening it creates a missing database, and a dry run must not create one. The opening must
        also be the first import of mlflow, see `recsys.artifacts.mlflow_client`.
        """
        return open_client(self.locations.tracking_uri)

    @property
    def has_store(self) -> bool:
        """Return True unless MLflow's database is missing."""
        return has_store(self.locations.tracking_uri)

    def find(self, tags: Mapping[str, str]) -> ModelVersion | None:
        """Return the oldest version that carries all these tags; None if there is none."""
        client = self.client
        with tracking_errors(self.locations.tracking_uri):
            return registry.find_version(client, self.model, tags)

    def champion(self) -> Champion | None:
        """Return the version that has the champion alias now; None if no version has it.

        Promotion and retraining ask before they train: a champion that cannot be fetched costs no
        training.

        Raises:
            TrackingError: MLflow does not answer, or the champion's files are lost and `force` is
                None.
        """
        if not self.has_store:
            return None
        client = self.client
        with tracking_errors(self.locations.tracking_uri):
            number = registry.alias_holder(client, self.model, registry.CHAMPION)
        if number is None:
            return None
        try:
            return fetch_champion(self.locations.tracking_uri, self.model, int(number))
        except TrackingError as error:
            problem = f"the champion (version {number}) cannot be fetched: {error}"
            if self.force is None:
                raise type(error)(
                    f"{problem}; if its files are lost, promote with --force REASON"
                ) from None
            return Champion(int(number), None, str(error))

    def measure(
        self,
        recipe: Recipe,
        context: RefitContext,
        champion: Champion | None,
        split: Split,
        tags: Mapping[str, str] | None,
    ) -> Promotion:
        """Refit a recipe, measure the model once, and register it.

        Args:
            recipe: the recipe to refit.
            context: a promotion or a retraining.
            champion: the version to compare the model with; None: there is none.
            split: the split of the data.
            tags: further tags of the new version; None: dry run, nothing is registered.

        The test rows are read once, so MLflow must show before that it can be written. If it fails
        afterwards, the findings are told to `say`, since nothing keeps them.

        Raises:
            DivergedError: the refit diverges.
            TrackingError: MLflow does not answer.
        """
        if tags is not None:
            client = self.client
            with tracking_errors(self.locations.tracking_uri):
                make_place(client, self.locations, self.model)
        before = self._count_measured(split)
        with tempfile.TemporaryDirectory() as temp:
            final = refit_model(recipe, context, champion, split, Path(temp) / "model", self.say)
            final = replace(final, findings=replace(final.findings, measured_before=before))
            measured = Promotion.of(
                recipe, final.findings, split.interactions.user_ids[0], registered=None
            )
            if tags is None:
                return measured
            try:
                with tracking_errors(self.locations.tracking_uri):
                    place = (self.client, self.locations, self.model)
                    version = make_version(*place, recipe, split, final, tags)
            except TrackingError:
                told = measurement(measured)
                self.say("\n".join([*told, "the model was measured, but not registered:"]))
                raise
        return self.finish(recipe, version, is_new=True)

    def _count_measured(self, split: Split) -> int:
        """Return the number of versions measured on the same test rows; dry runs do not count."""
        if not self.has_store:
            return 0
        client = self.client
        with tracking_errors(self.locations.tracking_uri):
            return registry.count_measured(client, split.fingerprint)

    def finish(
        self, recipe: Recipe, version: ModelVersion, *, is_new: bool, read_only: bool = False
    ) -> Promotion:
        """Give a version the alias that its gate has earned, unless it has been given one.

        Args:
            recipe: the recipe of the version.
            version: a version that `make_version` has registered.
            is_new: True if this call has measured the model.
            read_only: True: write nothing; the version must have been finished before.

        Returns:
            The findings of the version's gate, and its place in the registry.

        Raises:
            PromotionError: the findings in the version's run are missing or damaged.
            TrackingError: MLflow does not answer.
        """
        with tracking_errors(self.locations.tracking_uri):
            if read_only:
                found = read_findings(self.client, version)
            else:
                now_ms = time.time_ns() // 1_000_000
                version, found = finish_version(self.client, version, self.force, now_ms)
            champion = registry.alias_holder(self.client, version.name, registry.CHAMPION)
        tags = version.tags
        registered = Registered(
            model=version.name,
            version=int(version.version),
            is_new=is_new,
            run_id=version.run_id,
            role=tags[registry.SETTLED],
            refused=tags.get(registry.REASON),
            forced=tags.get(registry.FORCED),
            champion=None if champion is None else int(champion),
            rolled_back=registry.ROLLED_BACK in tags and champion != str(version.version),
        )
        return Promotion.of(recipe, found, tags[EXAMPLE_USER], registered)

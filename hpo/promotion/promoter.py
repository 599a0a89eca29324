"""From a recipe to a settled version in the registry: what promotion and retraining share."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.config.locations import Locations, has_store
from hpo.errors import PromotionError, TrackingError
from hpo.gate.refit import Occasion, refit_model
from hpo.gate.rivals import Champion, load_champion
from hpo.promotion.outcome import Promotion, Registered
from hpo.promotion.registration import EXAMPLE_USER, finish_version, make_version
from hpo.registry import versions as registry
from hpo.registry.recipe import Recipe
from hpo.study.locks import exclusive_registry
from recsys.artifacts.mlflow_client import open_client, tracking_errors
from recsys.data.splitting import Split

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@contextmanager
def changing_registry(locations: Locations, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the registry's lock while the block runs, see `hpo.study.locks.exclusive_registry`.

    Raises:
        PromotionError: nothing can be written where the lock would be.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive_registry(locations.storage, locations.tracking_uri, say))
        except OSError as error:
            raise PromotionError(
                f"the registry cannot be changed: {error.filename}: {error.strerror}; make that "
                "folder writable, or look only, with --dry-run"
            ) from None
        yield


@dataclass(frozen=True, eq=False)
class Promoter:
    """Measures models and registers them; who calls what writes holds the registry's lock.

    Attributes:
        locations: where MLflow lives.
        force: make a model the champion whatever the gate says, for this reason.
        say: is told how it goes on.
    """

    locations: Locations
    force: str | None
    say: Callable[[str], None]

    @cached_property
    def client(self) -> MlflowClient:
        """Opened when it is needed: that makes a missing database, which no dry run should.

        It must be the first that imports mlflow, see `recsys.artifacts.mlflow_client`.
        """
        return open_client(self.locations.tracking_uri)

    @property
    def has_store(self) -> bool:
        """False if MLflow's database does not exist yet."""
        return has_store(self.locations.tracking_uri)

    def find(self, tags: Mapping[str, str]) -> ModelVersion | None:
        """The oldest version that carries all these tags; None if there is none."""
        client = self.client
        with tracking_errors(self.locations.tracking_uri):
            return registry.find_version(client, tags)

    def champion(self) -> Champion | None:
        """Who has the alias now; asked before any training, so that none is lost for it.

        Raises:
            TrackingError: MLflow does not answer, or the champion's files are lost and nobody
                forces.
        """
        if not self.has_store:
            return None
        client = self.client
        with tracking_errors(self.locations.tracking_uri):
            number = registry.alias_holder(client, registry.CHAMPION)
        if number is None:
            return None
        try:
            return load_champion(self.locations.tracking_uri, registry.MODEL, int(number))
        except TrackingError as error:
            problem = f"the champion (version {number}) cannot be fetched: {error}"
            if self.force is None:
                raise TrackingError(
                    f"{problem}; if its files are lost, promote with --force REASON"
                ) from None
            return Champion(int(number), None, str(error))

    def measure(
        self,
        recipe: Recipe,
        occasion: Occasion,
        champion: Champion | None,
        split: Split,
        tags: Mapping[str, str] | None,
    ) -> Promotion:
        """Refit, measure once, and make the version.

        Args:
            recipe: what is refit.
            occasion: a promotion or a retraining.
            champion: whom it is compared with.
            split: of the data.
            tags: of the version; None: the registry stays as it is.

        Raises:
            DivergedError: the refit diverges.
            TrackingError: MLflow does not answer.
        """
        before = self._count_measured(split)
        with tempfile.TemporaryDirectory() as temp:
            final = refit_model(recipe, occasion, champion, split, Path(temp) / "model", self.say)
            final = replace(final, findings=replace(final.findings, measured_before=before))
            if tags is None:
                user = split.interactions.user_ids[0]
                return Promotion.of(recipe, final.findings, user, None)
            with tracking_errors(self.locations.tracking_uri):
                version = make_version(self.client, self.locations, recipe, split, final, tags)
        return self.finish(recipe, version, is_new=True)

    def _count_measured(self, split: Split) -> int:
        """Return how many versions were measured on the same test rows; dry runs leave no trace."""
        if not self.has_store:
            return 0
        client = self.client
        with tracking_errors(self.locations.tracking_uri):
            return registry.count_measured(client, split.fingerprint)

    def finish(self, recipe: Recipe, version: ModelVersion, *, is_new: bool) -> Promotion:
        """Give the version what its gate has earned, if that is not done."""
        with tracking_errors(self.locations.tracking_uri):
            now_ms = time.time_ns() // 1_000_000
            version, found = finish_version(self.client, version, self.force, now_ms)
            champion = registry.alias_holder(self.client, registry.CHAMPION)
        tags = version.tags
        registered = Registered(
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

"""A large catalogue, from its promotion to served answers: the index is stored, told and used."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.promotion.promote import promote_study
from hpo.promotion.registration import read_findings
from hpo.recommend import main as recommend_main
from hpo.registry.model_store import ModelStore, Reference
from hpo.serving.live_model import LiveModel
from recsys.artifacts.mlflow_client import open_client
from recsys.retrieval import index_builder as indexing, ivf as list_search
from tests.support.examples import conveyor
from tests.support.promoting import QUICK, real, runs, versions
from tests.support.real_study import RealStudy, write_csv
from tests.support.registered import Client, running

__all__ = ["real"]

CHAMPION = Reference.parse("models:/two-tower@champion")


@pytest.fixture
def large(real: RealStudy, monkeypatch: pytest.MonkeyPatch) -> RealStudy:
    """300 items are many, and half of their 64 lists may be looked into."""
    monkeypatch.setattr(indexing, "MIN_ITEMS", 300)
    monkeypatch.setattr(indexing, "FEWEST_PROBES", 4)
    monkeypatch.setattr(indexing, "CHEAP", 0)
    monkeypatch.setattr(indexing, "MOST", 1 / 2)
    write_csv(real.data, conveyor(300, 300))
    return real


def test_the_index_is_stored_told_and_served(large: RealStudy, tmp_path: Path) -> None:
    large.train("shop", n_trials=1)
    promotion = promote_study(large.locations, "shop", settings=QUICK)
    client = open_client(large.locations.tracking_uri)
    (version,), (run,) = versions(client), runs(client)

    facts = promotion.findings.index
    assert facts is not None
    assert (facts.lists, facts.users) == (64, 300)
    assert facts.recall_at_10 >= indexing.TARGET
    told = f"answers over HTTP come from an index (64 lists, {facts.probes} probes): recall@10 "
    told += f"against exact {facts.recall_at_10:.4f} (300 users)"
    assert told in version.description
    assert run.data.metrics["index_recall_at_10"] == facts.recall_at_10
    assert read_findings(client, version).index == facts

    store = ModelStore(large.locations.tracking_uri, tmp_path / "served")
    stored = store.load(version)
    assert stored.index is not None
    assert stored.index.facts == facts
    with running(LiveModel(store, CHAMPION, as_measured=False)) as port:
        status, ready = Client(port).get("/ready")
        assert (status, ready["exact"], ready["index"]["recall_at_10"]) == (
            200, False, facts.recall_at_10,
        )  # fmt: skip
        found = [Client(port).items({"user_id": user}) for user in stored.history.user_ids]
    answers = stored.recommender(exact=True).recommend(stored.history.user_ids)
    exact = [[item for item, _ in answer.items] for answer in answers]
    hits = [len({*one} & {*other}) for one, other in zip(found, exact, strict=True)]
    assert sum(hits) / 3000 == pytest.approx(facts.recall_at_10, abs=1e-9)


def test_who_wants_exact_answers_gets_them(
    large: RealStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large.train("shop", n_trials=1)
    promote_study(large.locations, "shop", settings=QUICK)
    store = ModelStore(large.locations.tracking_uri, tmp_path / "served")
    monkeypatch.setattr(list_search, "ListSearch", None)
    monkeypatch.setattr(indexing, "ListSearch", None)
    with pytest.raises(TypeError):
        LiveModel(store, CHAMPION, as_measured=False)
    for as_measured, exact in ((True, False), (False, True)):
        live = LiveModel(store, CHAMPION, as_measured=as_measured, exact=exact)
        with running(live) as port:
            ready = Client(port).get("/ready")[1]
            assert (ready["exact"], ready["index"]) == (True, None)
    options = ["--users", "all", "--tracking-uri", large.locations.tracking_uri]
    assert recommend_main([*options, "--out", str(tmp_path / "top.csv")]) == 0


def test_an_index_that_is_not_good_enough_is_not_kept(
    large: RealStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "TARGET", 1.5)
    large.train("shop", n_trials=1)
    promotion = promote_study(large.locations, "shop", settings=QUICK)
    assert promotion.findings.index is None
    told = "answers over HTTP are exact: 1.5 is asked of an index (64 lists, 32 probes): recall@10"
    (version,) = versions(open_client(large.locations.tracking_uri))
    assert told in version.description
    assert "come from an index" not in version.description
    assert ModelStore(large.locations.tracking_uri, tmp_path / "served").load(version).index is None


def test_small_catalogues_say_nothing_of_it(real: RealStudy) -> None:
    real.train("shop", n_trials=1)
    assert promote_study(real.locations, "shop", settings=QUICK).findings.index is None
    (version,) = versions(open_client(real.locations.tracking_uri))
    assert "index" not in version.description.lower()
